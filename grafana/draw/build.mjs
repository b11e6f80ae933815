// SPDX-License-Identifier: MIT
// Makes dist/ of page/ and node_modules/, in the folder it is called in.
import { build } from 'esbuild';
import { cpSync, readFileSync, rmSync, symlinkSync, mkdirSync } from 'node:fs';

// The release of react-data-grid wants React 19: five contexts and one ref make it one for React 18 again.
const react18 = {
  name: 'react-data-grid for React 18',
  setup({ onLoad }) {
    onLoad({ filter: /react-data-grid\/lib\/index\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8')
        .replace(/jsx(s?)\((\w+Context), \{/g, 'jsx$1($2.Provider, {')
        .replace('export { Cell_default as Cell, DataGrid,', 'export { Cell_default as Cell, Referable as DataGrid,')
        .concat('\nimport { forwardRef } from "react";\nconst Referable = forwardRef((props, ref) => DataGrid({ ...props, ref }));\n'),
    }));
  },
};

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist/public/build', { recursive: true });
symlinkSync('../../../node_modules/@grafana/ui/dist/public/img', 'dist/public/build/img');
cpSync('page/index.html', 'dist/index.html');
await build({
  entryPoints: ['page/main.jsx'],
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  target: 'chrome120',
  jsx: 'automatic',
  logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  // No dashboard needs the code editor.
  alias: { 'monaco-editor': './page/nothing.js', '@monaco-editor/react': './page/nothing.js' },
  loader: { '.woff': 'empty', '.woff2': 'dataurl', '.svg': 'dataurl', '.png': 'dataurl' },
  plugins: [react18],
});
