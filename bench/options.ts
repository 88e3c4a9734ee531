/** The command line of `npm run bench`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    against: { type: 'string' },
    land: { type: 'boolean', default: false },
  },
});

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
