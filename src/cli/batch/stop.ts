import { rmSync } from 'node:fs';

/** The exit code after SIGINT. */
export const STOPPED = 130;

/** A stop that the user asks for. */
export class Stop {
  isAsked = false;
  /** Nothing has been started yet. */
  isPreparing = true;
  /** Holds prompts during the preparation. */
  folder: string | null = null;

  exit(): never {
    if (this.folder !== null) rmSync(this.folder, { recursive: true, force: true });
    process.exit(STOPPED);
  }
}
