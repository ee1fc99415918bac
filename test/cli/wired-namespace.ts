import { bequeath, ipBatch, newEstateName } from "../../src/lab/namespaces.js";

export interface WiredNamespace {
  readonly namespace: string;
  readonly directory: string;
  readonly clear: () => void;
}

/** A namespace with one wire: lan0, 192.0.2.2/24, whose other end is up in the same namespace. */
export async function openWiredNamespace(): Promise<WiredNamespace> {
  const { name, directory } = newEstateName();
  const namespace = `${name}-cli`;
  const clear = bequeath([namespace], directory);
  await ipBatch([`netns add ${namespace}`]);
  await ipBatch(
    [
      "link set lo up",
      "link add lan0 type veth peer name lan1",
      "link set lan1 up",
      "link set lan0 up",
      "addr add 192.0.2.2/24 dev lan0",
    ],
    namespace,
  );
  return { namespace, directory, clear };
}
