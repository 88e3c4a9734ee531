/** The flags of `breakwater simulate`. */
import { InvalidArgumentError, type Command } from 'commander';

export interface SimulateFlags {
  readonly config?: string;
  readonly requests?: string;
  readonly load?: string;
  readonly seed: number;
  readonly without?: readonly string[];
  readonly json?: boolean;
  /** A file of `breakwater record incident`. */
  readonly incident?: string;
  /** Two config files. */
  readonly diff?: readonly string[];
  /** Shares, such as 0.1 for 10 %. */
  readonly maxP95WaitIncrease?: number;
  readonly maxCostIncrease?: number;
  readonly maxRefused?: number;
}

export function addSimulateOptions(command: Command): void {
  command
    .option('-c, --config <file>', 'config file, YAML or JSON (default: the one serve would use)')
    .option('-r, --requests <file>', 'replay this request log (telemetry.requests.file), with its latencies')
    .option('-l, --load <spec>', 'generate a load instead, such as rate=120,minutes=10; see below')
    .option('-s, --seed <n>', 'seed of all random values', seedOf, 1)
    .option('-w, --without <provider>', 'run again without this provider, side by side; repeatable', gather)
    .option('-i, --incident <file>', 'with --requests: failures and latencies over time, from breakwater record incident')
    .option('--json', 'print the report as JSON')
    .option('-d, --diff <old new...>', 'run two configs, OLD and NEW, and print a Markdown table of the changes')
    .option('--max-p95-wait-increase <share>', 'with --diff: exit with 1 if the p95 wait of a priority rises by more, such as 10%', shareOf)
    .option('--max-cost-increase <share>', 'with --diff: exit with 1 if the cost rises by more, such as 5%', shareOf)
    .option('--max-refused <share>', 'with --diff: exit with 1 if NEW does not serve a larger share of the requests, such as 0.5%', shareOf)
    .addHelpText('after', help);
}

function seedOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** `10%` or `0.1`. */
function shareOf(text: string): number {
  const [, number, sign] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('It must be a share, such as 10% or 0.1.');
  return sign === '%' ? Number(number) / 100 : Number(number);
}

function gather(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

const help = `
Runs the gateway with your config in virtual time, against simulated providers: nothing is sent, no key is needed, and an
hour takes seconds. The same seed gives the same report.

A load is a comma-separated list of key=value; the default, without --requests and --load, is rate=60,minutes=10:
  rate      requests per minute                      minutes   duration
  model     names joined by + (default: all)         peak      factor of the rate in the middle fifth (default 1)
  high, low shares of these priorities (default 0.2 each; the rest is normal)
  input, output   median tokens; one request in twenty has four times as many (default 500 and 200)
  bound     output limit in tokens (default: none)   stream    share of streams (default 0.5)
  deadline  a duration such as 30s (default: policy.deadline)
  retries   retries of callers where a response allows it, as the official SDKs do (default 0; the SDKs' is 2);
            each counts as a separate request

Providers enforce only the limits in the config, with its window; without limits they accept everything. Latencies,
response lengths and error rates come from the request log, per target; for targets missing from it, and for loads, the
time to first token is 400 ms (p95 1.2 s), the pace 60 tokens per second, and nothing fails.

Examples:
  breakwater simulate --load rate=300,minutes=30,high=0.1,peak=3
  breakwater simulate --requests requests.jsonl --without openai
  breakwater simulate --diff old.yaml new.yaml --requests requests.jsonl --max-p95-wait-increase 10% --max-refused 0.5%
`;
