/** `firsthop unit`: the systemd unit of this installation. */
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { DEFAULT_SOCKET } from "../control/protocol.js";
import { FirsthopError } from "../errors.js";
import { DEFAULT_CONFIG } from "./config-file.js";
import { print } from "./output.js";

export function unitCommand(): Command {
  return new Command("unit")
    .description(
      "Prints a systemd unit that runs the daemon from where it is installed: it is started once it runs, reloaded by " +
        "SIGHUP, watched, and started again after a failure.",
    )
    .option("-c, --config <file>", "configuration file", DEFAULT_CONFIG)
    .addHelpText(
      "after",
      "\nExample:\n  firsthop unit > /etc/systemd/system/firsthop.service && systemctl daemon-reload\n" +
        "  systemctl enable --now firsthop\n",
    )
    .action(({ config }: { config: string }) => {
      print(unitFile({ node: process.execPath, main: process.argv[1] ?? "", config: resolve(config) }));
    });
}

export interface UnitPlaces {
  /** Absolute paths. */
  readonly node: string;
  readonly main: string;
  readonly config: string;
}

/** @throws FirsthopError USAGE for a path that a unit can't hold */
export function unitFile({ node, main, config }: UnitPlaces): string {
  const run = [node, main, "run", "-c", config].map(unitWord).join(" ");
  return `[Unit]
Description=First-hop redundancy (VRRP)
Documentation=https://www.rfc-editor.org/rfc/rfc9568
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
# A process that follows this one without a change of state (after an update: systemctl kill -s USR2 --kill-who=main
# firsthop) speaks for the service, too.
NotifyAccess=all
ExecStart=${run}
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
Restart=on-failure
RestartSec=1s
WatchdogSec=30s

# Socket and state. What a daemon that was killed left here, the next one needs.
RuntimeDirectory=${dirname(DEFAULT_SOCKET).replace(/^\/run\//, "")}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes

# Packets and addresses; the ownership filter; the real-time thread and its locked memory. Notify commands and scripts
# of trackers get no others: add what they need.
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN
CapabilityBoundingSet=CAP_BPF CAP_SYS_ADMIN
CapabilityBoundingSet=CAP_SYS_NICE CAP_IPC_LOCK
LimitRTPRIO=50
LimitMEMLOCK=infinity
LimitNOFILE=65536
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
`;
}

/** A word of a command line as systemd reads it. */
function unitWord(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\x00-\x1f]/.test(word)) throw new FirsthopError("USAGE", `a unit can't name ${JSON.stringify(word)}`);
  const text = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /[\s"'\\;]/.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : text;
}
