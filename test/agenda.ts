/**
 * What happens when: a heap of things to do, the earliest first, and of those
 * at one moment the one that was planned first. The order never depends on
 * anything but the calls, so that one seed gives one run.
 */
export interface Agenda {
  readonly entries: Entry[];
  planned: number;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export function createAgenda(): Agenda {
  return { entries: [], planned: 0 };
}

export function plan(agenda: Agenda, at: number, run: () => void): void {
  const { entries } = agenda;
  const entry = { at, order: agenda.planned++, run };
  let child = entries.length;
  while (child > 0) {
    const parent = (child - 1) >> 1;
    const above = entries[parent];
    if (!above || before(above, entry)) break;
    entries[child] = above;
    child = parent;
  }
  entries[child] = entry;
}

/** Takes the next entry that is due by `until`, if there is one. */
export function takeDue({ entries }: Agenda, until: number): Entry | undefined {
  const first = entries[0];
  if (!first || first.at > until) return undefined;
  const last = entries.pop();
  if (last && last !== first) sinkFromTop(entries, last);
  return first;
}

function sinkFromTop(entries: Entry[], entry: Entry): void {
  let parent = 0;
  for (;;) {
    const left = entries[2 * parent + 1];
    const right = entries[2 * parent + 2];
    const useRight = left && right && before(right, left);
    const child = useRight ? right : left;
    if (!child || before(entry, child)) break;
    entries[parent] = child;
    parent = 2 * parent + (useRight ? 2 : 1);
  }
  entries[parent] = entry;
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
