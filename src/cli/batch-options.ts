/** The options of `breakwater batch`. */
import type { Command } from 'commander';
import type { AccessFlags, ResultsFlags, RunFlags } from './batch/flags.ts';

/** The implementation is loaded when a command runs. */
export function addBatch(program: Command): void {
  const batch = program
    .command('batch')
    .description('run a file of requests or prompts as a batch; resumable')
    .addHelpText('after', '\nbreakwater batch run --help describes the input formats.');
  addAccess(batch.command('run'))
    .description('run a file, through a running gateway or one in this process')
    .argument('<file>', 'JSONL of requests, prompts (one per line), CSV, TSV or JSONL with --template, or a folder of text files')
    .option('-m, --model <name>', 'model of requests that name none (default: the only configured one)')
    .option('-t, --template <text>', "prompt template, with {{COLUMN}} for a row's values; {{text}} is a line or a file, {{file}} its name")
    .option('-s, --system <text>', 'system message for every prompt')
    .option('--delimiter <char>', 'what separates the columns of a table, such as ; or tab (default: comma in .csv, tab in .tsv)')
    .option('--max-tokens <n>', 'output limit of every prompt, in tokens')
    .option('-o, --output <file>', 'output file (default: FILE.results.jsonl; failures go to FILE.errors.jsonl)')
    .option('-w, --window <duration>', 'completion window; requests not finished by then expire', '24h')
    .option('--again', 'run again, even if the same file was run before')
    .option('--retry-failed', 'of a file that was run before, run only the requests that have not succeeded, and merge the results')
    .addHelpText('after', runHelp)
    .action(async (file: string, flags: RunFlags) => (await import('./batch/run.ts')).runBatch(file, flags));
  addAccess(batch.command('status'))
    .description('show a batch, or the most recent ones')
    .argument('[id]', 'batch id (default: the last twenty)')
    .action(async (id: string | undefined, flags: AccessFlags) => (await import('./batch/commands.ts')).showStatus(id, flags));
  addAccess(batch.command('results'))
    .description('write the results of a finished batch')
    .argument('<id>', 'batch id')
    .option(
      '-o, --output <file>',
      'output file; failures go to a file named like it, with .errors.jsonl (default: stdout, failures included)',
    )
    .option('-f, --force', 'replace a file that has no results of the batch; never the input')
    .action(async (id: string, flags: ResultsFlags) => (await import('./batch/commands.ts')).writeResults(id, flags));
  addAccess(batch.command('cancel'))
    .description('cancel a batch; finished results are kept')
    .argument('<id>', 'batch id')
    .action(async (id: string, flags: AccessFlags) => (await import('./batch/commands.ts')).cancelBatch(id, flags));
}

function addAccess(command: Command): Command {
  return command
    .option('-c, --config <file>', 'config file (default: the one serve would use)')
    .option('-u, --url <url>', 'a running gateway, such as http://127.0.0.1:4747 (default: the one in the config, if it runs)')
    .option('-k, --key <key>', 'client key (default: $BREAKWATER_KEY)')
    .option('--demo', 'if no provider is configured, use simulated ones')
    .option('--json', 'print JSON lines');
}

const runHelp = `
Input formats:
  JSONL of requests   {"custom_id", "method", "url", "body"} per line, as in OpenAI's batch API; or only the body
  prompts             any other text file: one prompt per line; with --template, {{text}} is the line
  CSV, TSV, JSONL     with --template "Summarize: {{article}}": one prompt per row; a column custom_id or id sets its id
  a folder            one prompt per .txt or .md file; with --template, {{text}} is its content

Results are JSON lines in the format of OpenAI's batch API, in the order of the input.
Ctrl-C stops it; the same command resumes it. Once it has ended, --retry-failed runs what failed, expired or was cancelled. Exits with 0 if every request succeeded, else with 1.`;
