/** The options of `breakwater batch`. */
import type { Command } from 'commander';
import type { AccessFlags, ResultsFlags, RunFlags } from './batch/flags.ts';

/** A command's own code is loaded when it is called. */
export function addBatch(program: Command): void {
  const batch = program
    .command('batch')
    .description('run a file of requests or prompts to its end, resumable')
    .addHelpText('after', '\nbreakwater batch run --help says what a file may hold.');
  addAccess(batch.command('run'))
    .description('run a file: through a running gateway, or one in this process')
    .argument('<file>', 'JSONL of requests, prompts (one a line), CSV or JSONL with --template, or a folder of text files')
    .option('-m, --model <name>', 'the model of requests that name none (default: the only one that is configured)')
    .option('-t, --template <text>', "the prompt, with {{COLUMN}} for a row's values; {{text}} is a line or a file, {{file}} its name")
    .option('-s, --system <text>', 'a system message for every prompt')
    .option('--max-tokens <n>', 'the output limit of every prompt')
    .option('-o, --output <file>', 'where the results go (default: FILE.results.jsonl; failures beside it in FILE.errors.jsonl)')
    .option('-w, --window <duration>', 'how long it may take; what is not done by then expires', '24h')
    .option('--again', 'run it anew, even if the same file was run before')
    .addHelpText('after', runHelp)
    .action(async (file: string, flags: RunFlags) => (await import('./batch/run.ts')).runBatch(file, flags));
  addAccess(batch.command('status'))
    .description('show a batch, or the last ones')
    .argument('[id]', 'its id (default: the last twenty)')
    .action(async (id: string | undefined, flags: AccessFlags) => (await import('./batch/commands.ts')).showStatus(id, flags));
  addAccess(batch.command('results'))
    .description('write the results of a batch that has ended')
    .argument('<id>', 'its id')
    .option('-o, --output <file>', 'where they go (default: stdout, failures too)')
    .action(async (id: string, flags: ResultsFlags) => (await import('./batch/commands.ts')).writeResults(id, flags));
  addAccess(batch.command('cancel'))
    .description('cancel a batch; what was done so far is kept')
    .argument('<id>', 'its id')
    .action(async (id: string, flags: AccessFlags) => (await import('./batch/commands.ts')).cancelBatch(id, flags));
}

function addAccess(command: Command): Command {
  return command
    .option('-c, --config <file>', 'config file (default: the one that serve would use)')
    .option('-u, --url <url>', 'a running gateway, such as http://127.0.0.1:4747 (default: the one of the config, if it runs)')
    .option('-k, --key <key>', 'its key for you (default: $BREAKWATER_KEY)')
    .option('--demo', 'if no provider is configured, use simulated ones')
    .option('--json', 'print JSON lines for machines');
}

const runHelp = `
A file is one of:
  JSONL of requests   {"custom_id", "method", "url", "body"} a line, as in OpenAI's batch API; or the body alone
  prompts             any other text file: one prompt a line; with --template {{text}} is the line
  CSV, JSONL          with --template "Summarize: {{article}}": one prompt a row; a column custom_id or id names its result
  a folder            one prompt for each .txt and .md file in it; with --template {{text}} is its content

Results are lines of JSON in the form of OpenAI's batch API, to be matched by custom_id: their order is not that of the file.
Ctrl-C stops it; the same command goes on where it was. Exits with 0 if every request succeeded, else with 1.`;
