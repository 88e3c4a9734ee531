/** docs/compatibility.md, the rows of the SDKs among the packages of this project. The others are in test/heavy/compatibility. */
import { describe, it } from 'node:test';
import { checkRow } from './table.ts';
import { SDK_CLIENTS } from './sdk-clients.ts';

describe('docs/compatibility.md', { concurrency: process.env['BREAKWATER_WRITE_DOCS'] === '1' ? 1 : SDK_CLIENTS.length }, () => {
  for (const client of SDK_CLIENTS) it(`says what ${client.name} can do with each dialect`, (t) => checkRow(t, client));
});
