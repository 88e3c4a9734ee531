/** Rate-limit accounts, one per API key. */
import { createAccount } from './limits.ts';
import type { Account } from './limits.ts';
import type { StormLimits } from './options.ts';

export interface Accounts {
  /** The account of a key; undefined if no limits are set. */
  of(key: string): Account | undefined;
  /** Resets all usage. Running calls stay counted in the old accounts. */
  reset(): void;
}

/** Keys with an account of their own; further keys share one. */
const ACCOUNTS_MAX = 10_000;

/** Creates the accounts; `minuteMs` is the length of a simulated minute. */
export function createAccounts(limits: StormLimits | undefined, minuteMs: number): Accounts {
  let accounts = new Map<string, Account>();
  return {
    of(key) {
      if (limits === undefined) return undefined;
      const id = accounts.has(key) || accounts.size < ACCOUNTS_MAX ? key : '';
      let account = accounts.get(id);
      if (account === undefined) {
        account = createAccount(limits, minuteMs);
        accounts.set(id, account);
      }
      return account;
    },
    reset() {
      accounts = new Map();
    },
  };
}
