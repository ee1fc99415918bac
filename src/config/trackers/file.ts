/** file: the number in a file is the weight. */
import { absolutePath, trackerKind } from "./kind.js";

export interface FileSpec {
  readonly kind: "file";
  readonly path: string;
}

export const fileKind = trackerKind({
  keys: {
    file: absolutePath("a file")
      .optional()
      .meta({
        description:
          "Kind: the number in this file, times weight (default 1), is added to the priority; -254 and less forbids Active. With weight 0 any number but 0 forbids it. A number ends with the file or at white space; what follows is not read. A file that is not there, and one without a number, counts as 0.",
        examples: ["/run/firsthop/bias"],
      }),
  },
  polling: { interval: "1s", fall: 1, rise: 1, counted: false },
  weight: 1,
  covers: () => [],
  normalize: (checked): FileSpec => ({ kind: "file", path: checked.file as string }),
  target: (spec) => spec.path,
});
