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
    .option('-c, --config <file>', 'config file, YAML or JSON (default: the one that serve would use)')
    .option('-r, --requests <file>', 'replay this requests file (telemetry.requests.file), its latencies included')
    .option('-l, --load <spec>', 'generate a load instead, such as rate=120,minutes=10; see below')
    .option('-s, --seed <n>', 'seed of everything that is drawn by chance', seedOf, 1)
    .option('-w, --without <provider>', 'the same once more without this provider, side by side; may be repeated', gather)
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
Runs the gateway with your config in virtual time, against simulated providers: nothing is sent anywhere, no key is
needed, and an hour takes seconds. The same seed gives the same report.

A load is a list of key=value with commas between; without --requests and --load it is rate=60,minutes=10:
  rate      requests a minute                        minutes   how long they come
  model     names with + between (default: all)      peak      times the rate in the middle fifth (default 1)
  high, low shares of those priorities (default 0.2 each; the rest is normal)
  input, output   tokens, the median; one in twenty has four times as many (default 500 and 200)
  bound     output bound in tokens (default: none)   stream    share of streams (default 0.5)
  deadline  a duration such as 30s (default: policy.deadline)
  retries   times that callers ask again where they are told to, as the official SDKs do (default 0; the SDKs' is 2);
            each counts as a request of its own

Providers enforce the limits of the config, as its window says, and nothing else: without limits they take everything.
Their latencies, answer lengths and error rates come from the requests file, by target; for targets that it does not
show, and for loads, the time to the first token is 400 ms (p95 1.2 s), the pace 60 tokens a second, and nothing fails.

Examples:
  breakwater simulate --load rate=300,minutes=30,high=0.1,peak=3
  breakwater simulate --requests requests.jsonl --without openai
`;
