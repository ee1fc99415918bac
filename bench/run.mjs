/** `npm run bench`: the benchmarks are TypeScript that plain Node runs through the repository's own loader. */
import "../scripts/lib/typescript-loader.mjs";

const { main } = await import("./main.ts");
// Whatever a suite that was given up still waits for.
process.exit(await main(process.argv.slice(2)));
