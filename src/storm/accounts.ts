/** The limits of each API key. */
import { createAccount } from './limits.ts';
import type { Account } from './limits.ts';
import type { StormLimits } from './options.ts';

export interface Accounts {
  /** The account of a key; none where nothing is limited. */
  of(key: string): Account | undefined;
  /** Forgets what was spent. Calls still running stay counted in the old accounts. */
  reset(): void;
}

/** Keys whose limits are kept apart; beyond it, new keys share one account. */
const ACCOUNTS_MAX = 10_000;

/** Makes the accounts; `minuteMs` is the length of a minute. */
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
