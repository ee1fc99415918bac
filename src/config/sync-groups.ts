/** The section syncGroups: virtual routers that move together. */
import { z } from "zod";
import { oneOf, text } from "./fields.js";
import { checkNotify, normalizeNotify, notifySchema } from "./notify.js";
import { isBlock, type Report, section, valid } from "./section.js";
import type { SyncGroupConfig } from "./types.js";

export const syncGroupName = text(
  "name",
  "the name of a sync group",
  (value) =>
    /^[\w.-]{1,64}$/.test(value) ? null : `'${value}' is no name: 1 to 64 letters, digits, '.', '-' or '_'`,
  "^[\\w.-]{1,64}$",
);

const groupSchema = z.strictObject(
  {
    name: syncGroupName.meta({ description: "What `syncGroup` of its members says.", examples: ["edge"] }),
    mode: oneOf(["all", "any"], {
      description:
        "all: one in fault takes all to fault, one that becomes Active or Backup takes all along. any: members elect and fail by themselves; the group is Active while any of them is, and in fault only when all are.",
      examples: ["any"],
    }).default("all"),
    notify: notifySchema,
  },
  { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
);

const schema = z
  .array(groupSchema, { error: "a list of sync groups is expected" })
  .default([])
  .meta({ description: "Virtual routers that move together; members name their group with `syncGroup`." });

interface Member {
  readonly index: number;
  readonly group: string;
  readonly priority: number | undefined;
}

export const syncGroups = section({
  schema,
  check(written, report, document) {
    const members = membersOf(document.virtualRouters);
    const names = new Map<string, number>();
    const groups: readonly unknown[] = Array.isArray(written) ? written : [];
    groups.forEach((block, index) => {
      const name = isBlock(block) ? valid(syncGroupName, block.name) : undefined;
      if (name === undefined || !isBlock(block)) return;
      const before = names.get(name);
      const path = ["syncGroups", index, "name"];
      if (before !== undefined)
        report("error", path, `${name} is the name of another sync group`, ["syncGroups", before, "name"]);
      names.set(name, index);
      checkNotify(block.notify, ["syncGroups", index, "notify"], report);
      const own = members.filter((one) => one.group === name);
      if (own.length === 0) report("warning", path, `no virtual router says syncGroup: ${name}`);
      if (block.mode !== "any") checkPriorities(name, own, report);
    });
    for (const { index, group } of members)
      if (!names.has(group)) {
        const known = [...names.keys()].join(", ");
        const advice = known ? `there is ${known}` : "syncGroups has none";
        report("error", ["virtualRouters", index, "syncGroup"], `no sync group ${group}: ${advice}`);
      }
  },
  normalize: (checked): { readonly syncGroups: readonly SyncGroupConfig[] } => ({
    syncGroups: checked.map(({ name, mode, notify }) => ({ name, mode, notify: normalizeNotify(notify) })),
  }),
});

function membersOf(written: unknown): Member[] {
  if (!Array.isArray(written)) return [];
  return written.flatMap((block, index) => {
    const group = isBlock(block) ? valid(syncGroupName, block.syncGroup) : undefined;
    if (group === undefined || !isBlock(block)) return [];
    const priority = block.priority ?? 100;
    return [{ index, group, priority: typeof priority === "number" ? priority : undefined }];
  });
}

/** Groups that are better here and worse there would never agree who is Active. */
function checkPriorities(name: string, members: readonly Member[], report: Report): void {
  const first = members.find((one) => one.priority !== undefined);
  for (const { index, priority } of members) {
    const path = ["virtualRouters", index, "priority"];
    if (priority === 255)
      report(
        "error",
        path,
        `the owner of its addresses (255) can't move with others: sync group ${name} is mode all`,
      );
    else if (first && priority !== undefined && priority !== first.priority)
      report(
        "warning",
        path,
        `members of ${name} should have one priority: another one has ${first.priority}`,
        ["virtualRouters", first.index, "priority"],
      );
  }
}
