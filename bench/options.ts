/** The command line of `npm run bench`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** For the help text. */
const caseNames =
  'plain-1k, watched, latency, plain-1m, stream, paced, events, open-streams, idle, scheduler, overload, retry-loop, conversion';

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    against: { type: 'string' },
    land: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`Usage: npm run bench -- [options]

Measures speed, size and scheduling, side by side with a bare relay and nginx, and prints tables.

  --quick            about two minutes for all cases
  --only CASE,CASE   selected cases: ${caseNames}
  --rounds N         rounds of each case
  --against DIR      measure another checkout for comparison
  --short            for CI: CPU time relative to the relay, against bench/landed.json
  --land             store the measured figures as the reference

Needs wrk, except for scheduler, overload, retry-loop and conversion. Exit code 1: a budget was missed.
`);
  process.exit(0);
}

export const options = {
  /** About two minutes for all cases. */
  isQuick: values.quick,
  /** For CI: CPU time of the cases with a landed figure, against the relay only. */
  isShort: values.short,
  only: values.only?.split(','),
  rounds: values.rounds === undefined ? undefined : Number(values.rounds),
  /** Another checkout, measured for comparison. */
  against: values.against === undefined ? undefined : checkout(values.against),
  /** Stores the measured figures as the reference for later runs. */
  land: values.land,
};

function checkout(folder: string): string {
  const root = resolve(folder);
  if (existsSync(join(root, 'src/cli/main.ts'))) return root;
  process.stderr.write(`bench: ${root} is not a checkout: src/cli/main.ts is missing\n`);
  process.exit(2);
}
