/** The part of the native addon that keeps the process small. */
export interface NativeProgramPagesApi {
  /**
   * Takes the code of Node's program out of this process's memory. What is used again comes back by itself, from the
   * page cache.
   * @returns whether the kernel did it.
   */
  dropProgramPages(): boolean;
}
