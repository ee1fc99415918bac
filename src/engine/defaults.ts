/** Where a router keeps what must survive its restart. */
export const DEFAULT_STATE_DIRECTORY = "/run/firsthop";
