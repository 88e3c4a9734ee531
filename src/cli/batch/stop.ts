import { rmSync } from 'node:fs';

/** The exit code after SIGINT. */
export const STOPPED = 130;

/** A stop that the user asks for. */
export class Stop {
  isAsked = false;
  /** Nothing has been started yet. */
  isPreparing = true;
  /** Files and folders with prompts or results, which are deleted at the end in any case. */
  readonly temporary = new Set<string>();

  exit(): never {
    this.clean();
    process.exit(STOPPED);
  }

  clean(): void {
    for (const path of this.temporary) {
      try {
        rmSync(path, { recursive: true, force: true });
      } catch {
        // It must not prevent the exit: Windows deletes no file that is being written.
      }
    }
  }
}
