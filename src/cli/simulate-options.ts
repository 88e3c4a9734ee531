/** The flags of `breakwater simulate`. */
import { InvalidArgumentError, type Command } from 'commander';

export interface SimulateFlags {
  readonly config?: string;
  readonly requests?: string;
  readonly load?: string;
  readonly seed: number;
  readonly without?: readonly string[];
  readonly json?: boolean;
}

export function addSimulateOptions(command: Command): void {
  command
    .option('-c, --config <file>', 'config file, YAML or JSON (default: the one serve would use)')
    .option('-r, --requests <file>', 'replay this request log (telemetry.requests.file), with its latencies')
    .option('-l, --load <spec>', 'generate a load instead, such as rate=120,minutes=10; see below')
    .option('-s, --seed <n>', 'seed of all random values', seedOf, 1)
    .option('-w, --without <provider>', 'run again without this provider, side by side; repeatable', gather)
    .option('--json', 'print the report as JSON')
    .addHelpText('after', help);
}

function seedOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
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
`;
