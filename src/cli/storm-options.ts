/** The flags of `breakwater storm`, one per StormOptions field. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { BATCH_FAULTS, type BatchFault } from '../storm/batches/options.ts';

/** The parsed flags; faults are still text. */
export interface StormFlags {
  readonly name?: string;
  readonly port?: number;
  readonly host?: string;
  readonly models?: string[];
  readonly strictModels?: boolean;
  readonly apiKeys?: string[];
  readonly account?: string;
  readonly seed?: number;
  readonly minuteMs?: number;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  readonly requestsPerDay?: number;
  readonly concurrency?: number;
  readonly enforce?: 'bucket' | 'sliding' | 'perSecond';
  readonly burst?: number;
  readonly countFailures?: boolean;
  readonly countOutput?: boolean;
  readonly advertise?: boolean;
  readonly hints?: 'both' | 'seconds' | 'none';
  readonly headersMs?: SpreadFlag;
  readonly firstTokenMs?: SpreadFlag;
  readonly tokensPerSecond?: SpreadFlag;
  readonly tokens?: number | { min: number; max: number };
  readonly eventsPerPacket?: number;
  readonly plainMs?: SpreadFlag;
  readonly jitter?: number;
  readonly fault?: string[];
  readonly faultMix?: string | true;
  readonly listFaults?: boolean;
  readonly keepBodies?: number;
  readonly scenario?: string;
  readonly provider?: string;
  readonly batchAfterMs?: number;
  readonly batchFault?: BatchFault;
}

type SpreadFlag = number | { min: number; max: number } | { p50: number; p99: number };

const spreadForm = 'N, MIN-MAX (uniform), or p50:N,p99:N (log-normal)';

export function addStormOptions(command: Command): void {
  command
    .option('-p, --port <port>', 'port to listen on; 0 takes any free one (default: 0)', wholeNumber)
    .option('-H, --host <host>', 'address to bind (default: 127.0.0.1)')
    .option('--name <name>', 'value of system_fingerprint in responses (default: storm)')
    .option('--models <names>', 'listed models, comma-separated', list)
    .option('--strict-models', 'respond with 404 to any other model (default: accept it)')
    .option('--api-keys <keys>', 'accepted keys, comma-separated (default: any)', list)
    .option('--account <name>', "Storms with the same account accept each other's signatures and encrypted reasoning (default: unique)")
    .option('--seed <n>', 'seed of all random values (default: 1)', wholeNumber)
    .option('--minute-ms <ms>', 'length of a minute for rate limits (default: 60000)', positive);
  command
    .option('--requests-per-minute <n>', 'limit per key (default: none)', positive)
    .option('--tokens-per-minute <n>', 'limit per key (default: none)', positive)
    .option('--input-tokens-per-minute <n>', 'input limit per key (default: none)', positive)
    .option('--output-tokens-per-minute <n>', 'limit of generated output per key (default: none)', positive)
    .option('--requests-per-day <n>', 'limit per key (default: none)', positive)
    .option('--concurrency <n>', 'concurrent calls per key (default: no limit)', positive)
    .addOption(
      new Option(
        '--enforce <way>',
        'bucket: continuous refill; sliding: in any minute; perSecond: a sixtieth at a time (default: bucket)',
      ).choices(['bucket', 'sliding', 'perSecond']),
    )
    .option('--burst <share>', "share of the minute's limit that can be spent at once, for bucket (default: 1)", positive)
    .option('--count-failures', 'refused calls count towards the request limit')
    .option('--no-count-output', "do not count the caller's output limit at admission (default: counted, except for Gemini)")
    .option('--no-advertise', 'send no x-ratelimit headers')
    .addOption(new Option('--hints <kind>', 'retry hints of a 429 (default: both)').choices(['both', 'seconds', 'none']));
  command
    .option('--headers-ms <spread>', `time until the headers of a stream: ${spreadForm} (default: 0)`, spread)
    .option('--first-token-ms <spread>', 'time from the headers of a stream to its first content (default: 0)', spread)
    .option('--tokens-per-second <spread>', 'pace of content (default: as fast as the socket accepts it)', spread)
    .option('--tokens <spread>', 'length of a response: N or MIN-MAX (default: 20-60)', range)
    .option('--events-per-packet <n>', 'stream events per write', positive)
    .option('--plain-ms <spread>', 'time until the headers of a non-streaming response (default: as long as its stream)', spread)
    .option('--jitter <share>', 'maximum relative variation of each wait (default: 0)', share)
    .option('--fault <fault>', 'KIND[-ARG][;key=value]…, such as "503;probability=0.2"; repeatable, the first match applies', collect)
    .option(
      '--fault-mix [weights]',
      'one fault picked per call by weight, such as "503:1,cut:1,any:2,none:16" (default: any); applies after every --fault',
    )
    .option('--scenario <file>', 'fail and slow down as in an incident.json of breakwater record incident, from now on (docs/incidents.md)')
    .option('--provider <name>', 'the provider of the scenario to stand for (default: all, if their models differ)')
    .option('--list-faults', 'print every kind of fault with its description, and exit')
    .option('--batch-after-ms <ms>', 'from the creation of a batch to its results (default: 0)', wholeNumber)
    .addOption(new Option('--batch-fault <fault>', 'a fault of the batch APIs (docs/storm.md)').choices(BATCH_FAULTS))
    .option('--keep-bodies <n>', 'keep headers and bodies of this many last calls for GET /storm/stats (default: 0)', wholeNumber);
}

function number(text: string, rule: string, holds: (value: number) => boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || !holds(value)) throw new InvalidArgumentError(`must be ${rule}.`);
  return value;
}

function wholeNumber(text: string): number {
  return number(text, 'a whole number, 0 or more', (value) => Number.isInteger(value) && value >= 0);
}

function positive(text: string): number {
  return number(text, 'a number above 0', (value) => value > 0);
}

function share(text: string): number {
  return number(text, 'a share from 0 to 1', (value) => value >= 0 && value <= 1);
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

function range(text: string): number | { min: number; max: number } {
  const [min, max] = text.split('-');
  if (max === undefined) return positive(text);
  return { min: positive(min ?? ''), max: positive(max) };
}

function spread(text: string): SpreadFlag {
  const logNormal = /^p50:([\d.]+),p99:([\d.]+)$/.exec(text);
  if (logNormal !== null) return { p50: positive(logNormal[1]!), p99: positive(logNormal[2]!) };
  const even = /^([\d.]+)-([\d.]+)$/.exec(text);
  if (even !== null) return { min: nonNegative(even[1]!), max: nonNegative(even[2]!) };
  return nonNegative(text);
}

function nonNegative(text: string): number {
  return number(text, spreadForm, (value) => value >= 0);
}
