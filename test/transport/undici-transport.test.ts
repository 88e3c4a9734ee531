import { testTransport } from './transport.contract.ts';
import { createUndiciTransport } from '../../src/transport/undici-transport.ts';

testTransport('over undici', (parts) => createUndiciTransport(parts));
