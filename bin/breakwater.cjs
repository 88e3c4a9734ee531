#!/usr/bin/env node
// The command of the package. Old versions of Node.js must be able to parse this file: ES5, CommonJS, no import().
/* oxlint-disable no-var */
'use strict';

var oldest = 24;
var major = parseInt(process.version.slice(1), 10);
var fault = 'Node.js ' + oldest + ' or later is required; this is ' + process.version + '. ';
var remedy = 'Install a newer one, or run: npx -p node@' + oldest + ' -p breakwater breakwater';

if (major >= oldest) {
  require('./run.cjs');
} else {
  process.stderr.write('breakwater: ' + fault + remedy + '\n');
  process.exit(1);
}
