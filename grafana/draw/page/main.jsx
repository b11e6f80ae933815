// SPDX-License-Identifier: MIT
// window.draw(what) draws a dashboard, and says what of it a reader sees.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import 'uplot/dist/uPlot.min.css';
import { createTheme, dateTime, rangeUtil, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { Component } from 'react';
import { createRoot } from 'react-dom/client';
import { cutTexts } from './cut.js';
import { Drawn } from './panels.jsx';

const [CELL, GAP, EDGE] = [30, 8, 16];
const QUIET_MS = 150;
const PATIENCE_MS = 10_000;
let errors = [];
let root;

for (const level of ['error', 'warn']) {
  const say = console[level];
  console[level] = (...words) => {
    errors.push(words.map(String).join(' ').slice(0, 400));
    say(...words);
  };
}
window.addEventListener('error', ({ message }) => errors.push(message));
window.addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)));

class Guard extends Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    errors.push(`${this.props.title}: ${error.stack}`.slice(0, 800));
  }
  render() {
    return this.state.error ? String(this.state.error) : this.props.children;
  }
}

function Board({ dashboard, frames, events, from, to, caption, theme, seen }) {
  const range = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  const values = Object.fromEntries(dashboard.templating.list.map((one) => [one.name, one.current?.value ?? '']));
  const replace = (text, scoped) =>
    String(text).replace(/\$(?:\{([\w.]+)[^}]*\}|(\w+))/g, (whole, braced, bare) => values[braced ?? bare] ?? scoped?.[braced ?? bare]?.text ?? whole);
  const column = (window.innerWidth - 2 * EDGE - 23 * GAP) / 24;
  const rows = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  const box = { border: `1px solid ${theme.colors.border.medium}`, padding: '2px 8px', whiteSpace: 'nowrap' };
  const faint = { color: theme.colors.text.secondary };
  return (
    <div style={{ background: theme.colors.background.canvas, padding: EDGE, fontFamily: theme.typography.fontFamily }}>
      <div style={{ display: 'flex', gap: EDGE, alignItems: 'center', height: 40, fontSize: 14 }}>
        <b style={{ whiteSpace: 'nowrap' }}>{dashboard.title}</b>
        {dashboard.templating.list.filter((one) => one.hide !== 2).map((one) => (
          <span key={one.name} style={box}><span style={faint}>{one.label ?? one.name}</span> {String(one.current?.text ?? '')}</span>
        ))}
        <span style={{ marginLeft: 'auto' }} />
        {(dashboard.links ?? []).map((link) => <span key={link.title} style={box}>{replace(link.title)}</span>)}
      </div>
      <div style={{ position: 'relative', height: rows * (CELL + GAP) }}>
        {dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const [width, height] = [w * column + (w - 1) * GAP, h * CELL + (h - 1) * GAP];
          const place = { position: 'absolute', left: x * (column + GAP), top: y * (CELL + GAP), width, height };
          const title = replace(panel.title);
          const own = (seen[panel.id] = { title, type: panel.type });
          return (
            <div key={panel.id} data-panel={panel.id} style={place}>
              <PanelChrome width={width} height={height} title={title} description={panel.description} padding={panel.type === 'table' ? 'none' : 'md'}>
                {(innerWidth, innerHeight) => (
                  <Guard title={title}>
                    <Drawn panel={panel} frames={frames[panel.id]} events={events} range={range} replace={replace} theme={theme} seen={own} width={innerWidth} height={innerHeight} />
                  </Guard>
                )}
              </PanelChrome>
            </div>
          );
        })}
      </div>
      <div style={{ ...faint, fontSize: 11 }}>{caption}</div>
    </div>
  );
}

// Resolves when the page has not changed for a moment.
function settled() {
  return new Promise((resolve, reject) => {
    let timer = setTimeout(resolve, QUIET_MS);
    const observer = new MutationObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(resolve, QUIET_MS);
    });
    observer.observe(document.body, { attributes: true, childList: true, subtree: true });
    setTimeout(() => reject(new Error('the page does not come to rest')), PATIENCE_MS);
  });
}

function look(id, seen) {
  const panel = document.querySelector(`[data-panel="${id}"]`);
  const grid = panel.querySelector('[role=grid]');
  return {
    ...seen,
    cells: [...panel.querySelectorAll('[role=gridcell]')].map((cell) => cell.textContent),
    cut: cutTexts(panel),
    legend: panel.querySelectorAll('[data-testid*="VizLegend series"], table tbody tr').length,
    beyond: grid ? Math.max(0, grid.scrollWidth - grid.clientWidth - 1) : 0,
    hiddenRows: grid ? Math.max(0, grid.scrollHeight - grid.clientHeight - 1) : 0,
    text: panel.innerText,
  };
}

async function draw(what) {
  root?.unmount();
  errors = [];
  const seen = {};
  const theme = createTheme({ colors: { mode: what.theme } });
  root = createRoot(document.getElementById('root'));
  root.render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles hackNoBackdropBlur={false} isExtensionSidebarOpen={false} />
      <style>{'body { margin: 0 !important; }'}</style>
      <Board {...what} theme={theme} seen={seen} />
    </ThemeContext.Provider>,
  );
  await settled();
  const panels = Object.entries(seen).map(([id, own]) => look(id, own));
  return { errors, panels, height: document.documentElement.scrollHeight };
}

// The interval that Grafana sends for a range of milliseconds.
export function interval(length, points, least) {
  const [from, to] = [dateTime(0), dateTime(length)];
  return rangeUtil.calculateInterval({ from, to, raw: { from, to } }, points, least).intervalMs;
}

await initPluginTranslations('draw'); // before the libraries look for a text
await Promise.all(['400 12px Inter', '500 14px Inter'].map((font) => document.fonts.load(font)));
Object.assign(window, { draw, interval });
