/** The part of the addon's surface in native/local_datagram_addon.cc. */

export interface NativeLocalDatagramApi {
  /**
   * Sends one datagram to a local (AF_UNIX) socket without waiting. `name` is a path, or begins with `@` for an abstract
   * one. Returns 0 or a positive error number: EAGAIN when the reader is behind, EAFNOSUPPORT for another kind of name.
   */
  sendLocalDatagram(name: string, text: string): number;
}
