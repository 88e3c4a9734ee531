/** All methods of jobs and files as one script, so that the server has to load it once. */
import { redisScript } from '../redis-client.ts';
import { COMMON_LUA, DISPATCH_LUA } from './common-lua.ts';
import { EVENTS_LUA } from './events-lua.ts';
import { FILES_LUA } from './files-lua.ts';
import { HANDOVERS_LUA } from './handovers-lua.ts';
import { ITEMS_LUA } from './items-lua.ts';
import { JOBS_LUA } from './jobs-lua.ts';
import { RUNNERS_LUA } from './runners-lua.ts';

const METHODS_LUA = [COMMON_LUA, FILES_LUA, JOBS_LUA, ITEMS_LUA, RUNNERS_LUA, HANDOVERS_LUA, EVENTS_LUA, DISPATCH_LUA].join('');
/** What adds to the store is refused at the server's memory limit; all else must work there, too. */
const GROWING: ReadonlySet<string> = new Set(['createFile', 'appendFile', 'createJob', 'addItems', 'appendEvents']);
const GROWING_SCRIPT = redisScript(METHODS_LUA);
const OTHER_SCRIPT = redisScript(`#!lua flags=allow-oom${METHODS_LUA}`);

export function scriptOf(method: string): typeof OTHER_SCRIPT {
  return GROWING.has(method) ? GROWING_SCRIPT : OTHER_SCRIPT;
}
