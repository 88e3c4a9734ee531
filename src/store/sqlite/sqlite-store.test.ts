import { testStoreContract } from '../contract.test-suite.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { tempFile } from './temp-file.test-suite.ts';

testStoreContract({
  name: 'sqlite',
  open: (t, clock, limits) =>
    openSqliteStore(tempFile(t), {
      clock,
      onWarning: () => {},
      ...(limits && { limits }),
    }),
});
