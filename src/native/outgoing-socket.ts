/** The part of the addon's surface in native/outgoing_socket_addon.cc. */

export interface ConnectTarget {
  readonly kind: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  /** Name of the interface it must leave by; "" for the routing table's choice. */
  readonly interface: string;
  /** Source address; "" for the kernel's choice. */
  readonly source: string;
}

export interface NativeOutgoingSocketApi {
  /**
   * Connects a stream, or makes a datagram socket ready to be connected. `done` gets 0 and the descriptor, which is the caller's then, or a positive error number; it may
   * be called at once. The function returned ends the attempt: `done` is not called any more.
   */
  connectSocket(target: ConnectTarget, done: (errno: number, fd: number) => void): () => void;
}
