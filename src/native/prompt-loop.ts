/** The part of the native addon that says how the JavaScript thread is scheduled. */
export interface NativePromptLoopApi {
  /**
   * Puts the calling thread, which is that of an event loop, into the real-time class SCHED_RR with priority 1. A turn of
   * the loop that takes more than 20 ms of processor time, or has reports of a heartbeat engine, goes on in the ordinary
   * class; the next one is a prompt one again. Threads and processes that it starts are ordinary ones. Takes SIGXCPU. Once for each process.
   * @returns whether it is so: that takes CAP_SYS_NICE or a real-time limit, and no other class before.
   */
  runPromptly(): boolean;
}
