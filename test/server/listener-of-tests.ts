/** With `BREAKWATER_LISTENER=node` every test runs over the other listener. */
import type { ListenerOptions } from '../../src/server/listener.ts';

export function listenerOfTests(): Pick<ListenerOptions, 'kind'> {
  return process.env['BREAKWATER_LISTENER'] === 'node' ? { kind: 'node' } : {};
}
