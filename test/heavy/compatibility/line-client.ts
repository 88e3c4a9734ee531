/** A client in a process of its own: a question is a line of JSON, and so is its answer. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { TOOL_RESULT } from '../../compatibility/forms.ts';
import type { Answer, Client, Question } from '../../compatibility/forms.ts';

/** A client that takes longer for an answer has failed, in ms. */
const ANSWER_MAX_MS = 60_000;

export class LineProcess {
  readonly #child: ChildProcess;
  #waiting: ((line: string) => void) | null = null;

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...env } });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#take(line));
    this.#child.on('error', (error) => this.#take(JSON.stringify({ error: error.message })));
    this.#child.on('exit', () => this.#take('{"error":"the process of the client ended"}'));
  }

  /** One question at a time. */
  async ask(client: string, question: Question): Promise<Answer> {
    const answered = new Promise<string>((resolve) => (this.#waiting = resolve));
    const timer = setTimeout(() => this.#take('{"error":"no answer came"}'), ANSWER_MAX_MS);
    this.#child.stdin!.write(`${JSON.stringify({ client, result: TOOL_RESULT, ...question })}\n`);
    const answer = JSON.parse(await answered) as Answer | { readonly error: string };
    clearTimeout(timer);
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  #take(line: string): void {
    if (!line.startsWith('{')) return;
    this.#waiting?.(line);
    this.#waiting = null;
  }
}

/** `name`: in the table; `key`: in the program. */
export function lineClient(t: TestContext, process: LineProcess, name: string, key: string, version: string): Client {
  t.after(() => process.close());
  return { name, version, ask: (question) => process.ask(key, question) };
}
