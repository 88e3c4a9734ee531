// Apart from breakwater.cjs, because old versions of Node.js cannot parse import().
'use strict';

import('../dist/bundle/main.js').catch(function (error) {
  process.stderr.write('breakwater: ' + ((error && error.stack) || error) + '\n');
  process.exit(1);
});
