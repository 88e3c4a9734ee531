/** `breakwater storm`: a Storm as a process of its own. */
import type { FaultBehaviour } from './fault-behaviour.ts';
import { ERROR_SHAPES } from './failure-words.ts';
import { FAULT_FAMILIES } from './fault-kinds.ts';
import { startStorm } from './index.ts';
import type { StormOptions } from './index.ts';

/** Starts a Storm, says where it listens in one line on stdout, and runs until SIGTERM or SIGINT; resolves when closed. */
export async function runStorm(options: StormOptions): Promise<void> {
  const storm = await startStorm(options);
  process.stdout.write(`storm listening on ${storm.url}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  await storm.close();
}

const HOW = [
  'A fault is asked for by a model named fault-KIND[-ARG], by the request header x-storm-fault: KIND[-ARG], or by --fault.',
  'All take settings: fault-500;first=2 or x-storm-fault: stall-5; ms=2000. Several kinds act together: crlf+bytes.',
  'mix-503:1,cut-2:1,none:8 draws one for each call, by weight and seed; `any` is any kind that ends by itself.',
  'Settings: ms, bytes, afterTokens, status, retryAfter, retryAfterMs, param, message, contentType, finish, reason, shape,',
  'and when it strikes: probability, first, every, from, until.',
  `Shapes of errors: ${ERROR_SHAPES.join(', ')}.`,
];

/** How faults are asked for, and their names: for the command's help. */
export function summariseFaults(): string {
  const families = Object.entries(FAULT_FAMILIES).map(([family, kinds]) => `  ${family}:\n${wrapped(Object.keys(kinds))}`);
  return [...HOW, 'Kinds (breakwater storm --list-faults says what each does):', ...families].join('\n');
}

/** Every fault with the requests that it touches, the harm that it does, and what it is: for `--list-faults`. */
export function describeFaults(): string {
  const families = Object.entries(FAULT_FAMILIES).map(([family, kinds]) => {
    const lines = Object.entries(kinds).map(([kind, behaviour]) => describe(kind, behaviour));
    return `\n${family}\n${lines.join('\n')}`;
  });
  return [...HOW, HARM, ...families, ''].join('\n');
}

const HARM = `
Harm: none: the answer is whole, in an odd form; poor: it ends properly and is not what was asked for; before, after: it
fails before or after the first content; doubt: all content comes, and an end that readers judge differently. The harm is
that in OpenAI chat; where another dialect or framing differs, brackets say so. "openai-chat only" and "sse only" are kinds
that leave answers of other dialects, or in other framings, as they are.`;

function describe(kind: string, { about, on, harm, endless, only, elsewhere }: FaultBehaviour): string {
  const notes = [
    ...(endless === true ? ['does not end by itself'] : []),
    ...(only === undefined ? [] : [`${only} only`]),
    ...Object.entries(elsewhere ?? {}).map(([where, other]) => `${where}: ${other}`),
  ];
  return `  ${kind.padEnd(24)} ${on.padEnd(6)} ${harm.padEnd(6)} ${about}${notes.length === 0 ? '' : ` [${notes.join('; ')}]`}`;
}

const LINE_LENGTH = 110;

function wrapped(names: readonly string[]): string {
  const lines = [''];
  for (const name of names) {
    if (lines.at(-1)!.length + name.length > LINE_LENGTH) lines.push('');
    lines.push(`${lines.pop()} ${name}`);
  }
  return lines.map((line) => `   ${line}`).join('\n');
}
