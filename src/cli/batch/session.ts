import type { Access } from './access.ts';
import type { Display } from './display.ts';
import type { RunFlags } from './flags.ts';
import type { ResultCopies } from './result-copies.ts';
import type { Stop } from './stop.ts';

/** One `breakwater batch run`. */
export interface Session {
  readonly access: Access;
  /** The input, as the user names it. */
  readonly file: string;
  readonly flags: RunFlags;
  readonly show: Display;
  readonly stop: Stop;
  readonly copies: ResultCopies;
}
