// SPDX-License-Identifier: MIT
// A component for each type of panel: the libraries' own, given what Grafana's application gives them.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createDataFrame,
  EventBusSrv,
  fieldMatchers,
  FieldType,
  getDisplayValueAlignmentFactors,
  getFieldDisplayName,
  getFieldDisplayValues,
  transformDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, Gauge, PanelContextProvider, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { useMemo } from 'react';
import './gauge.js';
import { drawable, fieldConfigOf, registryOf, unknownOptions } from './registry.js';

export const TIME_ZONE = 'browser';
const CONTEXT = {
  app: 'dashboard',
  canExecuteActions: () => false,
  eventBus: new EventBusSrv(),
  eventsScope: 'global',
  onToggleSeriesVisibility() {},
  sync: () => 1,
};

// What a panel draws: its frames, transformed, with its field options; `seen` takes what does not fit.
function prepare(panel, frames, { replace, theme }, seen) {
  let data = frames.map((frame) => createDataFrame(frame));
  transformDataFrame(panel.transformations ?? [], data, { interpolate: replace }).subscribe((made) => {
    data = made;
  });
  const fieldConfig = fieldConfigOf(panel);
  const fieldConfigRegistry = registryOf(panel.type);
  seen.unknown = unknownOptions(panel, fieldConfigRegistry);
  seen.overrides = fieldConfig.overrides.map(({ matcher }) => {
    const match = fieldMatchers.get(matcher.id).get(matcher.options);
    return { name: `${matcher.id} ${matcher.options}`, hits: data.some((f) => f.fields.some((x) => match(x, f, data))) };
  });
  data = applyFieldOverrides({ data, fieldConfig, fieldConfigRegistry, replaceVariables: replace, theme, timeZone: TIME_ZONE });
  return { data, fieldConfig, empty: fieldConfig.defaults.noValue ?? 'No data' };
}

const filled = (frame) => frame.length > 0 && frame.fields.length > 0;
const numbers = (frame) => frame.fields.filter((field) => field.type === FieldType.number);

function Message({ children, width, height }) {
  const centred = { alignItems: 'center', display: 'flex', justifyContent: 'center', textAlign: 'center' };
  return <div style={{ ...centred, width, height, opacity: 0.7 }}>{children}</div>;
}

function Graph({ panel, data, empty, range, events, theme, seen, width, height }) {
  const usable = data.filter((frame) => frame.fields.some((field) => field.type === FieldType.time) && numbers(frame).length);
  if (!usable.some(filled)) {
    seen.empty = true;
    return <Message width={width} height={height}>{empty}</Message>;
  }
  seen.series = usable.flatMap((frame) => numbers(frame).map((field) => {
    const there = field.values.map((value) => value !== null && value !== undefined);
    const alone = there.filter((is, at) => is && !there[at - 1] && !there[at + 1]).length;
    const { drawStyle, showPoints } = field.config.custom;
    const gaps = there.slice(there.indexOf(true), there.lastIndexOf(true)).filter((is) => !is).length;
    const name = getFieldDisplayName(field, frame, usable);
    return { name, points: there.filter(Boolean).length, gaps, hidden: drawStyle === 'line' && showPoints === 'never' ? alone : 0 };
  }));
  const legend = { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true, ...panel.options.legend };
  return (
    <PanelContextProvider value={CONTEXT}>
      <TimeSeries frames={usable} structureRev={1} timeRange={range} timeZone={TIME_ZONE} width={width} height={height} legend={legend}>
        {(builder) => <Events builder={builder} events={events} theme={theme} />}
      </TimeSeries>
    </PanelContextProvider>
  );
}

// The application draws annotations; here a line marks each.
function Events({ builder, events, theme }) {
  useMemo(() => builder.addHook('draw', ({ ctx, bbox, valToPos }) => {
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName('orange');
    ctx.lineWidth = window.devicePixelRatio;
    ctx.setLineDash([4, 4]);
    for (const x of events.map((time) => Math.round(valToPos(time, 'x', true)))) {
      if (x >= bbox.left && x <= bbox.left + bbox.width) {
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  }), [builder]);
  return null;
}

function Table({ panel, data, fieldConfig, empty, range, seen, width, height }) {
  const [frame] = data;
  if (!frame?.fields.length) {
    seen.empty = true;
    return <Message width={width} height={height}>{empty}</Message>;
  }
  cacheFieldDisplayNames(data);
  seen.rows = frame.length;
  seen.noValue = empty;
  const { cellHeight = 'sm', enablePagination, frozenColumns, showHeader = true, sortBy } = panel.options;
  const looks = { cellHeight, enablePagination, frozenColumns: frozenColumns?.left, initialSortBy: sortBy, noHeader: !showHeader };
  return (
    <PanelContextProvider value={CONTEXT}>
      <TableNG {...looks} data={frame} width={width} height={height} structureRev={1} timeRange={range} fieldConfig={fieldConfig} enableVirtualization={false} />
    </PanelContextProvider>
  );
}

// What the three types of reduced figures have in common.
function useFigures({ panel, data, fieldConfig, empty, replace, theme, seen }, sparkline) {
  const reduceOptions = { calcs: ['lastNotNull'], fields: '', values: false, ...panel.options.reduceOptions };
  const figures = getFieldDisplayValues({ data, fieldConfig, reduceOptions, replaceVariables: replace, sparkline, theme, timeZone: TIME_ZONE });
  seen.figures = figures.map(({ display }) => ({ title: display.title, text: `${display.prefix ?? ''}${display.text}${display.suffix ?? ''}`, color: display.color }));
  seen.empty = figures.every(({ display }) => display.text === empty || Number.isNaN(display.numeric) && !display.text);
  return figures;
}

function Stat(all) {
  const { panel, data, theme, width, height } = all;
  const { colorMode = 'value', graphMode = 'area', justifyMode = 'auto', orientation = 'auto', text, textMode = 'auto', wideLayout } = panel.options;
  const figures = useFigures(all, graphMode !== 'none');
  const mode = textMode === 'auto' ? (figures.length > 1 ? 'value_and_name' : 'value') : textMode;
  const looks = { colorMode, graphMode, justifyMode, text, textMode: mode, theme, count: figures.length, disableWideLayout: wideLayout === false };
  return (
    <VizRepeater autoGrid getValues={() => figures} source={data} renderCounter={1} orientation={orientation} width={width} height={height}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, width: w, height: h }) => (
        <BigValue {...looks} value={value.display} sparkline={value.sparkline} alignmentFactors={alignmentFactors} width={w} height={h} />
      )} />
  );
}

const untitled = (value, count, fieldConfig) =>
  count === 1 && !fieldConfig.defaults.displayName ? { ...value.display, title: undefined } : value.display;

function Dial(all) {
  const { panel, data, fieldConfig, theme, width, height } = all;
  const { orientation = 'auto', showThresholdLabels = false, showThresholdMarkers = true, text } = panel.options;
  const figures = useFigures(all, false);
  const looks = { showThresholdLabels, showThresholdMarkers, text, theme };
  return (
    <VizRepeater getValues={() => figures} source={data} renderCounter={1} orientation={orientation} width={width} height={height} minVizWidth={75} minVizHeight={75}
      renderValue={({ value, count, width: w, height: h }) => (
        <Gauge {...looks} value={untitled(value, count, fieldConfig)} field={value.field} width={w} height={h} />
      )} />
  );
}

function Bars(all) {
  const { panel, data, fieldConfig, empty, theme, seen, width, height } = all;
  const { displayMode = 'gradient', maxVizHeight = 300, minVizHeight = 16, minVizWidth = 8, namePlacement = 'auto', orientation = 'auto', showUnfilled = true, text, valueMode = 'color' } = panel.options;
  const figures = useFigures(all, false);
  if (!data.some(filled)) {
    seen.empty = true;
    return <Message width={width} height={height}>{empty}</Message>;
  }
  const looks = { displayMode, namePlacement, showUnfilled, text, theme, valueDisplayMode: valueMode, itemSpacing: 10, lcdCellWidth: 8 };
  return (
    <VizRepeater getValues={() => figures} source={data} renderCounter={1} orientation={orientation} width={width} height={height} itemSpacing={10}
      minVizWidth={minVizWidth} minVizHeight={minVizHeight} maxVizHeight={maxVizHeight} getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, count, alignmentFactors, orientation: way, width: w, height: h }) => (
        <BarGauge {...looks} value={untitled(value, count, fieldConfig)} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          orientation={way} alignmentFactors={count > 1 ? alignmentFactors : undefined} width={w} height={h} />
      )} />
  );
}

const COMPONENTS = { bargauge: Bars, gauge: Dial, stat: Stat, table: Table, timeseries: Graph };

export function Drawn({ panel, frames, seen, width, height, ...shared }) {
  const prepared = useMemo(() => drawable(panel) && prepare(panel, frames, shared, seen), []);
  if (!prepared) {
    seen.missing = panel.type;
    return <Message width={width} height={height}>{`Grafana's libraries have no panel of type ${panel.type}.`}</Message>;
  }
  const Component = COMPONENTS[panel.type];
  return <Component {...shared} {...prepared} panel={panel} seen={seen} width={width} height={height} />;
}
