/** What is said when packets are not, or not all the time, filtered by ownership. */

/** No filter at all: what is missing then. */
export function unfilteredText(interfaceName: string, why: string): string {
  return (
    `${interfaceName}: ${why}; packets are not filtered by ownership: a killed or stopped daemon goes on ` +
    "forwarding beside its successor"
  );
}

export function lostText(interfaceName: string, outcome: string): string {
  return `${interfaceName}: somebody took the ownership filter off: ${outcome}`;
}
