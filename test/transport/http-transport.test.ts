import { createHttpTransport } from '../../src/transport/http-transport.ts';
import { testTransport } from './transport.contract.ts';

testTransport('over sockets', (parts) => createHttpTransport({ ...parts, client: 'sockets' }));
testTransport('where the parser of Node can not be used', (parts) => createHttpTransport({ ...parts, client: 'sockets', parsers: null }));
