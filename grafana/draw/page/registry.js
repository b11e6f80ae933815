// SPDX-License-Identifier: MIT
// What Grafana's application registers and its libraries leave to it: standard options, transformations, panel types.
import {
  booleanOverrideProcessor,
  createFieldConfigRegistry,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';
import { map } from 'rxjs/operators';

const STANDARD = {
  actions: identityOverrideProcessor,
  color: identityOverrideProcessor,
  decimals: numberOverrideProcessor,
  description: stringOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  fieldMinMax: booleanOverrideProcessor,
  filterable: booleanOverrideProcessor,
  links: dataLinksOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  max: numberOverrideProcessor,
  min: numberOverrideProcessor,
  noValue: stringOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  unit: unitOverrideProcessor,
};

standardFieldConfigEditorRegistry.setInit(() =>
  Object.entries(STANDARD).map(([id, process]) => ({ id, path: id, name: id, process, shouldApply: () => true })),
);

// After its documentation: a frame for each value of the fields, and none of a frame without rows.
const partitionByValues = {
  id: 'partitionByValues',
  name: 'Partition by values',
  defaultOptions: {},
  operator: (options) => (source) => source.pipe(map((frames) => frames.flatMap((frame) => partition(frame, options)))),
};

function partition(frame, { fields, keepFields }) {
  const keys = frame.fields.filter((field) => fields.includes(field.name));
  if (!keys.length) {
    return [frame];
  }
  const groups = new Map();
  for (let row = 0; row < frame.length; row++) {
    const key = keys.map((field) => field.values[row]).join(' ');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const kept = frame.fields.filter((field) => keepFields || !keys.includes(field));
  return [...groups].map(([name, rows]) => ({
    ...frame,
    name,
    length: rows.length,
    fields: kept.map((field) => ({ ...field, state: undefined, values: rows.map((row) => field.values[row]) })),
  }));
}

standardTransformersRegistry.setInit(() => {
  const all = [...Object.values(standardTransformers), partitionByValues];
  return [...new Map(all.map((one) => [one.id, one])).values()].map((one) => ({
    id: one.id,
    name: one.name,
    transformation: one,
    editor: () => null,
  }));
});

const AXIS = {
  axisBorderShow: false,
  axisCenteredZero: false,
  axisColorMode: 'text',
  axisGridShow: undefined,
  axisLabel: '',
  axisPlacement: 'auto',
  axisSoftMax: undefined,
  axisSoftMin: undefined,
  axisWidth: undefined,
  hideFrom: { legend: false, tooltip: false, viz: false },
  scaleDistribution: { type: 'linear' },
};
const REDUCED = ['orientation', 'reduceOptions', 'text'];

// Options and field options of each type that is drawn, with the defaults of the field options.
const TYPES = {
  timeseries: {
    options: ['legend', 'orientation', 'timeCompare', 'timezone', 'tooltip'],
    color: 'palette-classic',
    custom: {
      ...AXIS,
      barAlignment: 0,
      barWidthFactor: 0.6,
      drawStyle: 'line',
      fillBelowTo: undefined,
      fillOpacity: 0,
      gradientMode: 'none',
      insertNulls: false,
      lineInterpolation: 'linear',
      lineStyle: { fill: 'solid' },
      lineWidth: 1,
      pointSize: 5,
      showPoints: 'auto',
      showValues: false,
      spanNulls: false,
      stacking: { group: 'A', mode: 'none' },
      thresholdsStyle: { mode: 'off' },
      transform: undefined,
    },
  },
  table: {
    options: [
      ...['cellHeight', 'enablePagination', 'frameIndex', 'frozenColumns', 'maxRowHeight', 'showHeader'],
      ...['showTypeIcons', 'sortBy'],
    ],
    color: 'thresholds',
    custom: {
      align: 'auto',
      cellOptions: { type: 'auto' },
      filterable: undefined,
      footer: { reducers: [] },
      hideFrom: undefined,
      inspect: false,
      minWidth: undefined,
      tooltip: undefined,
      width: undefined,
      wrapHeaderText: false,
      wrapText: false,
    },
  },
  stat: {
    options: [
      ...REDUCED,
      ...['colorMode', 'graphMode', 'justifyMode', 'percentChangeColorMode', 'showPercentChange', 'textMode'],
      'wideLayout',
    ],
    color: 'thresholds',
    custom: {},
  },
  gauge: {
    options: [...REDUCED, 'minVizHeight', 'minVizWidth', 'showThresholdLabels', 'showThresholdMarkers', 'sizing'],
    color: 'thresholds',
    custom: {},
  },
  bargauge: {
    options: [
      ...REDUCED,
      ...['displayMode', 'legend', 'maxVizHeight', 'minVizHeight', 'minVizWidth', 'namePlacement', 'showUnfilled'],
      ...['sizing', 'valueMode'],
    ],
    color: 'thresholds',
    custom: {},
  },
};

export function fieldConfigOf(panel) {
  const { color, custom } = TYPES[panel.type];
  const given = panel.fieldConfig.defaults;
  return {
    overrides: panel.fieldConfig.overrides ?? [],
    defaults: { color: { mode: color }, ...given, custom: { ...structuredClone(custom), ...given.custom } },
  };
}

export function registryOf(type) {
  const registry = createFieldConfigRegistry({}, type);
  for (const [path, defaultValue] of Object.entries(TYPES[type].custom)) {
    const process = identityOverrideProcessor;
    registry.register({ id: `custom.${path}`, path, name: path, isCustom: true, process, shouldApply: () => true, defaultValue });
  }
  return registry;
}

export const drawable = (panel) => panel.type in TYPES;

// Names what a panel's JSON says that this type of panel does not know.
export function unknownOptions(panel, registry) {
  const { custom = {}, ...defaults } = panel.fieldConfig.defaults;
  const properties = (panel.fieldConfig.overrides ?? []).flatMap((override) => override.properties);
  return [
    ...Object.keys(panel.options ?? {}).filter((name) => !TYPES[panel.type].options.includes(name)),
    ...Object.keys(defaults).filter((name) => !registry.getIfExists(name)),
    ...Object.keys(custom).map((name) => `custom.${name}`).filter((name) => !registry.getIfExists(name)),
    ...properties.map((property) => property.id).filter((name) => !registry.getIfExists(name)),
    ...(panel.transformations ?? []).map((step) => step.id).filter((id) => !standardTransformersRegistry.getIfExists(id)),
  ];
}
