// Apart from breakwater.cjs, because old versions of Node.js cannot parse import().
'use strict';

const fs = require('node:fs');
const path = require('node:path');

// The package contains it; a checkout has it after a build.
const main = path.join(__dirname, '..', 'dist', 'bundle', 'main.js');

if (fs.existsSync(main)) {
  import('../dist/bundle/main.js').catch(function (error) {
    process.stderr.write('breakwater: ' + ((error && error.stack) || error) + '\n');
    process.exit(1);
  });
} else {
  process.stderr.write(
    'breakwater: this checkout is not built: run npm run build first, or npm start, which builds and starts a gateway\n',
  );
  process.exit(1);
}
