/** The command line: its commands and options. A command's implementation is loaded when it runs. */
import type { UsageOptions } from './usage.ts';
import { Command, Option } from 'commander';
import { addBatch } from './batch-options.ts';
import { fail } from './fail.ts';
import { addSimulateOptions, type SimulateFlags } from './simulate-options.ts';
import { addStormOptions } from './storm-options.ts';
import { version } from '../gateway/version.ts';

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

export async function run(args: readonly string[]): Promise<void> {
  const program = createProgram();
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
    .addHelpText('after', environmentHelp);
  addServe(program);
  addCheck(program);
  addStorm(program);
  addBatch(program);
  addSimulate(program);
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
      const { serve } = await import('./serve.ts');
      await serve({ ...options, demo: options.demo ?? false });
    });
}

function addCheck(program: Command): void {
  program
    .command('check')
    .description('validate a config and print the effective one, secrets masked')
    .argument('[file]', 'config file (default: the one serve would use)')
    .option('-c, --config <file>', 'same as FILE')
    .addHelpText('after', '\nExits with 1 and one line per fault, with its path.')
    .action(async (file: string | undefined, options: { config?: string }) => {
      if (file !== undefined && options.config !== undefined && file !== options.config)
        program.error('breakwater: check takes one config file: FILE or --config FILE');
      const { check } = await import('./check.ts');
      await check(file ?? options.config);
    });
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
}

/** Fault descriptions are loaded only for this help page. */
async function explainFaults(program: Command, args: readonly string[]): Promise<void> {
  if (!args.includes('storm') || !args.some((arg) => arg === '-h' || arg === '--help' || arg === 'help')) return;
  const { summariseFaults } = await import('../storm/command.ts');
  program.commands.find((command) => command.name() === 'storm')?.addHelpText('after', `\n${summariseFaults()}`);
}
