/** The command line: its commands and options. A command's implementation is loaded when it runs. */
import type { HealthOptions } from './health.ts';
import type { UsageOptions } from './usage.ts';
import type { CheckFlags } from './check.ts';
import type { RecordFlags } from './incident/record.ts';
import type { ImportSource } from './import.ts';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { addBatch } from './batch-options.ts';
import { fail } from './fail.ts';
import { prepareGeneratedKey } from './generated-key.ts';
import { setHeapFlags } from './heap-flags.ts';
import { addSimulateOptions, type SimulateFlags } from './simulate-options.ts';
import { addStormOptions } from './storm-options.ts';
import { version } from '../gateway/version.ts';

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

export async function run(args: readonly string[]): Promise<void> {
  const program = createProgram();
  prepareGeneratedKey(process.env);
  try {
    const [first] = args;
    const isCommand =
      first === undefined || first.startsWith('-') || first === 'help' || program.commands.some((one) => one.name() === first);
    if (!isCommand) program.error(`breakwater: unknown command ${JSON.stringify(first)}; see breakwater --help`);
    await explainFaults(program, args);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    fail(error);
  }
}

/** All commands with their options. */
export function createProgram(): Command {
  const program = new Command('breakwater')
    .description('Makes flaky LLM APIs dependable: queue, rate limits, retries, circuit breakers and fallbacks in front of your providers.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'breakwater: ')) })
    .option('-V, --version', 'print the version')
    .on('option:version', () => {
      process.stdout.write(`${version()}\n`);
      process.exit(0);
    })
    // serve sets them later.
    .hook('preAction', (_, command) => void (command.name() === 'serve' || setHeapFlags()))
    .addHelpText('after', environmentHelp);
  addServe(program);
  addCheck(program);
  addStorm(program);
  addBatch(program);
  addSimulate(program);
  addImport(program);
  addRecord(program);
  addWhy(program);
  return program;
}

const environmentHelp = `
Without a command, serve runs; breakwater serve --help lists its options.

Config: --config FILE, else $BREAKWATER_CONFIG, else breakwater.yaml, breakwater.yml or breakwater.json in the working
directory, else the environment: every known *_API_KEY becomes a provider, and a local Ollama, llama.cpp server, vLLM or
LM Studio on its default port is detected. Options take precedence over the file, the file over these variables:
  BREAKWATER_HOST, BREAKWATER_PORT   server.host, server.port
  BREAKWATER_KEY                     one client, named default, with this key
  BREAKWATER_ADMIN_KEY               server.adminKey
  BREAKWATER_GENERATE_KEY            a file for a generated client key, if none is configured and the network can connect
  BREAKWATER_LISTENER, BREAKWATER_HTTP_CLIENT   server.listener, server.httpClient
`;

function addServe(program: Command): void {
  program
    .command('serve', { isDefault: true })
    .description('run the gateway (the default)')
    .option('-c, --config <file>', 'config file, YAML or JSON (default: see breakwater --help)')
    .option('-p, --port <port>', 'port to listen on; 0 takes any free one (default: 4747)')
    .option('-H, --host <host>', 'address to bind (default: 127.0.0.1)')
    .addOption(new Option('-l, --log-level <level>', 'lowest level that is logged (default: info)').choices(logLevels))
    .option('--demo', 'if no provider is configured, serve simulated ones instead of stopping')
    .addHelpText(
      'after',
      `
Prints "listening on http://HOST:PORT" to stdout once it listens, and logs JSON lines to stderr.
SIGTERM or SIGINT: drains (server.drainTimeout), then exits with 0; a second one exits at once.
SIGHUP: reloads the config and reopens the request log. A changed config file is reloaded automatically.`,
    )
    .action(async (options: { config?: string; port?: string; host?: string; logLevel?: string; demo?: boolean }) => {
      const { catchSignals } = await import('./signals.ts');
      const onSignals = catchSignals();
      const { serve } = await import('./serve.ts');
      await serve({ ...options, demo: options.demo ?? false }, onSignals);
    });
}

function addCheck(program: Command): void {
  program
    .command('check')
    .description('validate a config and print the effective one, secrets masked')
    .argument('[file]', 'config file (default: the one serve would use)')
    .option('-c, --config <file>', 'same as FILE')
    .option('--online', 'ask each provider for its model list, and print what works: address, key, models, latency, limits')
    .option('--calls', 'with --online: also send a request of one token to each configured target, which may cost money')
    .option('--json', 'with --online: print JSON')
    .option('--timeout <seconds>', 'with --online: the longest wait for one response', secondsOf, 10_000)
    .addHelpText(
      'after',
      `
Exits with 1 and one line per fault, with its path; with --online also if a configured target cannot work: the address, the
key or the name of a model is wrong. Each problem is followed by its remedy.`,
    )
    .action(async (file: string | undefined, options: { config?: string } & CheckFlags) => {
      if (file !== undefined && options.config !== undefined && file !== options.config)
        program.error('breakwater: check takes one config file: FILE or --config FILE');
      const { check } = await import('./check.ts');
      if (options.online !== true && (options.calls === true || options.json === true))
        program.error('breakwater: --calls and --json need --online');
      await check(file ?? options.config, options);
    });
}

/** Milliseconds from a number of seconds. */
function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 3600)) throw new InvalidArgumentError('It must be a number of seconds, at most 3600.');
  return seconds * 1000;
}

function addStorm(program: Command): void {
  const command = program
    .command('storm')
    .description('run a simulated provider with real rate limits and injected faults')
    .action(async (options: object) => {
      const { storm } = await import('./storm.ts');
      await storm(options);
    });
  addStormOptions(command);
}

function addSimulate(program: Command): void {
  const command = program
    .command('simulate')
    .description('replay a recorded or generated load against a config, in virtual time')
    .action(async (options: SimulateFlags) => {
      const { simulate } = await import('./simulate.ts');
      await simulate(options);
    });
  addSimulateOptions(command);
}

function addImport(program: Command): void {
  program
    .command('import')
    .description('convert the config of another gateway')
    .addArgument(new Argument('<source>', 'what the file is of').choices(['litellm', 'portkey', 'openrouter']))
    .argument('<file>', 'LiteLLM: config.yaml; Portkey: a config as JSON; OpenRouter: a request with models, or a list of models')
    .option('-o, --out <file>', 'write the config here instead of to stdout; an existing file is not overwritten')
    .addHelpText(
      'after',
      `
Prints a breakwater.yaml. Its comments name the environment variables to set, and every setting that was changed or not
carried over, with the reason. Secrets are never printed: a reference to an environment variable stays one, and a key in
plain text becomes a variable that the comments name.

Examples:
  breakwater import litellm config.yaml --out breakwater.yaml
  breakwater import portkey config.json > breakwater.yaml
  breakwater check breakwater.yaml && breakwater check --online breakwater.yaml`,
    )
    .action(async (source: ImportSource, file: string, options: { out?: string }) => {
      const { importConfig } = await import('./import.ts');
      await importConfig(source, file, options);
    });
}

function addRecord(program: Command): void {
  program
    .command('record')
    .description('record what happened, to replay it')
    .command('incident')
    .description('turn a period of recorded requests into a request file and a scenario, for breakwater simulate and breakwater storm')
    .requiredOption('--from <time>', 'the beginning: a date such as 2026-05-01T12:00:00Z, or a duration before now such as 2h')
    .option('--to <time>', 'the end (default: now)')
    .option('-f, --file <file>', 'the request log (default: telemetry.requests.file of the config; else the running gateway)')
    .option('-u, --url <url>', 'read the last 1,000 requests of this gateway instead')
    .option('-c, --config <file>', 'config file: its request log, address and admin key are used (default: the one serve would use)')
    .option('-o, --out <folder>', 'folder for requests.jsonl and incident.json', 'incident')
    .addHelpText('after', '\nSee docs/incidents.md for what a replay can show, and what it cannot.')
    .action(async (options: RecordFlags) => {
      const [{ recordIncident }, { systemClock }] = await Promise.all([
        import('./incident/record.ts'),
        import('../gateway/system-clock.ts'),
      ]);
      await recordIncident(options, systemClock.epochMs());
    });
}

function addWhy(program: Command): void {
  program
    .command('why')
    .description('explain one request: its attempts, their causes, timing and cost')
    .argument('<request-id>', 'value of x-request-id in the response, the log or the dashboard')
    .option('-c, --config <file>', 'config file: its address, admin key and request log are used (default: the one serve would use)')
    .option('-u, --url <url>', 'gateway to query (default: the address in the config)')
    .option('-f, --file <file>', 'search this request log instead of querying a gateway')
    .addHelpText(
      'after',
      `
Queries the running gateway, which keeps the last thousand requests; others are searched in the request log, if configured.
The admin key comes from the config or BREAKWATER_ADMIN_KEY. Exits with 1 if the request is not found.`,
    )
    .action(async (id: string, options: { config?: string; url?: string; file?: string }) => {
      const { why } = await import('./why.ts');
      await why(id, options);
    });
  program
    .command('usage')
    .description('show tokens and costs by client, model, target, provider or day')
    .option('-b, --by <groups>', 'what to group by: a list of day, client, model, target, provider', 'client,model,target')
    .option('--from <day>', 'the first day, as YYYY-MM-DD in UTC (default: 29 days before the last)')
    .option('--to <day>', 'the last day (default: today)')
    .option('-c, --config <file>', 'config file: its address and admin key are used (default: the one that serve would use)')
    .option('-u, --url <url>', 'the gateway to ask (default: the address in the config)')
    .option('--json', 'print the JSON of /admin/usage')
    .option('--csv', 'print CSV')
    .addHelpText(
      'after',
      `
Asks the running gateway. Wasted calls are those whose responses no caller received: discarded, failed a check, lost a race.
The admin key is taken from the config or from BREAKWATER_ADMIN_KEY.`,
    )
    .action(async (options: UsageOptions) => {
      const { usage } = await import('./usage.ts');
      await usage(options);
    });
  program
    .command('health')
    .description('check that the gateway responds, for containers and services')
    .option('-c, --config <file>', 'config file: its address is used (default: the one that serve would use)')
    .option('-u, --url <url>', 'the gateway to check (default: the address in the config)')
    .option('--ready', 'also fail while it shuts down')
    .addHelpText('after', '\nPrints the response of /health/live, or of /health/ready. Exits with 1 if the gateway does not respond.')
    .action(async (options: HealthOptions) => {
      const { health } = await import('./health.ts');
      await health(options);
    });
}

/** Fault descriptions are loaded only for this help page. */
async function explainFaults(program: Command, args: readonly string[]): Promise<void> {
  if (!args.includes('storm') || !args.some((arg) => arg === '-h' || arg === '--help' || arg === 'help')) return;
  const { summariseFaults } = await import('../storm/command.ts');
  program.commands.find((command) => command.name() === 'storm')?.addHelpText('after', `\n${summariseFaults()}`);
}
