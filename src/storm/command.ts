/** `breakwater storm`: runs Storm as a separate process. */
import type { FaultBehaviour } from './fault-behaviour.ts';
import { ERROR_SHAPES } from './failure-reasons.ts';
import { FAULT_FAMILIES } from './fault-kinds.ts';
import { startStorm } from './index.ts';
import type { StormOptions } from './index.ts';

/** Starts Storm, prints its address on one line to stdout, and runs until SIGTERM or SIGINT; resolves when closed. */
export async function runStorm(options: StormOptions): Promise<void> {
  const storm = await startStorm(options);
  process.stdout.write(`storm listening on ${storm.url}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  await storm.close();
}

const HOW = [
  'A fault is requested by a model named fault-KIND[-ARG], by the request header x-storm-fault: KIND[-ARG], or by --fault.',
  'All accept settings: fault-500;first=2 or x-storm-fault: stall-5; ms=2000. Kinds can be combined: crlf+bytes.',
  'mix-503:1,cut-2:1,none:8 picks one per call, by weight and seed; `any` is any kind that ends by itself.',
  'Settings: ms, bytes, afterTokens, status, retryAfter, retryAfterMs, param, message, contentType, finish, reason, shape,',
  'and when it applies: probability, first, every, from, until.',
  `Error shapes: ${ERROR_SHAPES.join(', ')}.`,
];

/** Fault syntax and names, for the command's help. */
export function summariseFaults(): string {
  const families = Object.entries(FAULT_FAMILIES).map(([family, kinds]) => `  ${family}:\n${wrapped(Object.keys(kinds))}`);
  return [...HOW, 'Kinds (described by breakwater storm --list-faults):', ...families].join('\n');
}

/** Describes every fault: the requests it affects, its harm, and what it does. For `--list-faults`. */
export function describeFaults(): string {
  const families = Object.entries(FAULT_FAMILIES).map(([family, kinds]) => {
    const lines = Object.entries(kinds).map(([kind, behaviour]) => describe(kind, behaviour));
    return `\n${family}\n${lines.join('\n')}`;
  });
  return [...HOW, HARM, ...families, ''].join('\n');
}

const HARM = `
Harm: none: the response is complete, in an unusual form; degraded: it ends properly but is not what was requested; before,
after: it fails before or after the first content; ambiguous: all content arrives, and clients differ on whether the end is
valid. The harm is that in OpenAI chat; brackets list other dialects and framings where it differs. "openai-chat only" and
"sse only" mark kinds that leave responses of other dialects or framings unchanged.`;

function describe(kind: string, { about, on, harm, endless, only, elsewhere }: FaultBehaviour): string {
  const notes = [
    ...(endless === true ? ['endless'] : []),
    ...(only === undefined ? [] : [`${only} only`]),
    ...Object.entries(elsewhere ?? {}).map(([where, other]) => `${where}: ${other}`),
  ];
  return `  ${kind.padEnd(24)} ${on.padEnd(13)} ${harm.padEnd(9)} ${about}${notes.length === 0 ? '' : ` [${notes.join('; ')}]`}`;
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
