/**
 * `firsthop completion SHELL`: a script that completes commands, options, and names of the running daemon.
 */
import { Argument, Command } from "commander";
import { FirsthopError } from "../errors.js";
import { SCENARIOS, TOUR } from "../lab/scenarios.js";
import { print } from "./output.js";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** What a shell completes: options that take a file or directory are completed by the shell itself. */
interface Completed {
  readonly summary: string;
  readonly options: readonly string[];
  /** First words after the command. */
  readonly words: readonly string[];
  /** The word may be the NAME of a virtual router. */
  readonly names: boolean;
}

/** A test compares this with what the commands say about themselves. */
export const COMPLETED: Readonly<Record<string, Completed>> = {
  run: {
    summary: "run the daemon in the foreground",
    options: ["--config", "--socket", "--state-directory", "--handover"],
    words: [],
    names: false,
  },
  check: {
    summary: "check a configuration file",
    options: ["--config", "--failures", "--json"],
    words: [],
    names: false,
  },
  show: {
    summary: "show the state of the daemon",
    options: ["--json", "--watch", "--socket"],
    words: ["virtual-routers", "sync-groups", "tracks", "bfd", "interfaces"],
    names: true,
  },
  events: {
    summary: "follow changes of state",
    options: ["--json", "--history", "--since", "--no-follow", "--socket"],
    words: [],
    names: true,
  },
  explain: { summary: "tell why", options: ["--json", "--socket"], words: [], names: true },
  reload: {
    summary: "read the configuration again",
    options: ["--json", "--socket"],
    words: [],
    names: false,
  },
  drain: {
    summary: "hand over and stay out",
    options: ["--all", "--force", "--json", "--socket"],
    words: [],
    names: true,
  },
  undrain: {
    summary: "take part again",
    options: ["--all", "--json", "--socket"],
    words: [],
    names: true,
  },
  priority: {
    summary: "change a priority at run time",
    options: ["--json", "--socket"],
    words: [],
    names: true,
  },
  switchover: {
    summary: "hand over to the best Backup",
    options: ["--test", "--for", "--json", "--socket"],
    words: [],
    names: true,
  },
  mask: {
    summary: "show and change whom no check looks at",
    options: [],
    words: ["list", "add", "del"],
    names: false,
  },
  recorder: { summary: "inputs for a bug report", options: ["--socket"], words: [], names: false },
  decode: {
    summary: "decode advertisements",
    options: [
      "--json",
      "--pcap",
      "--layer",
      "--protocol",
      "--source",
      "--destination",
      "--vrid",
      "--vrrp-version",
      "--priority",
      "--address",
      "--interval",
      "--password",
      "--checksum",
    ],
    words: [],
    names: false,
  },
  vrrpd: { summary: "the classic vrrpd command line", options: [], words: [], names: false },
  lab: {
    summary: "a private lab that breaks things",
    options: ["--list", "--json", "--interval", "--rate", "--family", "--keep"],
    words: [TOUR, ...SCENARIOS.map((one) => one.name)],
    names: false,
  },
  unit: { summary: "print a systemd unit", options: ["--config"], words: [], names: false },
  completion: { summary: "print a completion script", options: [], words: [...SHELLS], names: false },
  version: { summary: "print the version", options: [], words: [], names: false },
};

export function completionCommand(): Command {
  return new Command("completion")
    .description(
      "Prints a script that completes firsthop's commands, options and virtual routers in a shell.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices([...SHELLS]))
    .addHelpText(
      "after",
      "\nExamples:\n  source <(firsthop completion bash)\n" +
        "  firsthop completion fish > ~/.config/fish/completions/firsthop.fish\n",
    )
    .action((shell: Shell) => print(script(shell)));
}

export function script(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      // zsh runs bash's completion functions when asked to; its own name for the file is `_firsthop`.
      return `#compdef firsthop\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`;
    case "fish":
      return fish();
    default:
      throw new FirsthopError("USAGE", `no completion for ${String(shell)}: one of ${SHELLS.join(", ")}`);
  }
}

/** Names of virtual routers, from the daemon; nothing where none runs. */
const NAMES = `firsthop show --json 2>/dev/null | sed -n 's/^ *"name": "\\(.*\\/.*\\)",*$/\\1/p'`;

function bash(): string {
  const cases = Object.entries(COMPLETED).map(([name, { options, words, names }]) => {
    const list = ["--help", ...options, ...words].join(" ");
    return `    ${name}) words="${list}${names ? ` $(${NAMES})` : ""}" ;;`;
  });
  return `_firsthop() {
  local words word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  case "$before" in
    -c|--config|--pcap|--socket|--state-directory) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --layer) COMPREPLY=($(compgen -W "ethernet ip payload" -- "$word")); return ;;
    --checksum) COMPREPLY=($(compgen -W "either message-only pseudo-header" -- "$word")); return ;;
    --family) COMPREPLY=($(compgen -W "ipv4 ipv6" -- "$word")); return ;;
    --protocol) COMPREPLY=($(compgen -W "vrrp bfd" -- "$word")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${Object.keys(COMPLETED).join(" ")} help --help --version"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _firsthop firsthop`;
}

function fish(): string {
  const lines = ["complete -c firsthop -f"];
  for (const [name, { summary, options, words, names }] of Object.entries(COMPLETED)) {
    const inside = `-n '__fish_seen_subcommand_from ${name}'`;
    lines.push(`complete -c firsthop -n __fish_use_subcommand -a ${name} -d '${summary}'`);
    for (const option of options) {
      const file = ["--config", "--pcap", "--socket", "--state-directory"].includes(option) ? " -r -F" : "";
      lines.push(`complete -c firsthop ${inside} -l ${option.slice(2)}${file}`);
    }
    if (words.length > 0) lines.push(`complete -c firsthop ${inside} -a '${words.join(" ")}'`);
    if (names) lines.push(`complete -c firsthop ${inside} -a "(${NAMES})"`);
  }
  return lines.join("\n");
}
