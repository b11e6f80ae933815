// SPDX-License-Identifier: MIT
// Grafana's <Gauge> asks flot for its dial, which only its application brings; here are arcs after the same options.
import $ from 'jquery';

const START = Math.PI * 0.8;
const SWEEP = Math.PI * 1.4;

$.plot = (element, [series], options) => {
  const { background, gauge = {}, threshold, value } = { ...options.series.gauges, background: options.series.gauges.gauge.background };
  const { width, height } = element.getBoundingClientRect();
  const canvas = document.createElement('canvas');
  const ratio = window.devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.cssText = `width: ${width}px; height: ${height}px`;
  element.replaceChildren(canvas);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const rim = threshold.show ? threshold.width + 1 : 0;
  const radius = Math.min(width / 2, height / 1.81) - rim - 2;
  const [x, y] = [width / 2, radius + rim + 2];
  const angle = (at) => START + SWEEP * Math.min(1, Math.max(0, (at - gauge.min) / (gauge.max - gauge.min)));
  const arc = (outer, thick, from, to, color) => {
    context.beginPath();
    context.lineWidth = thick;
    context.strokeStyle = color;
    context.arc(x, y, outer - thick / 2, from, to);
    context.stroke();
  };
  arc(radius, gauge.width, START, START + SWEEP, background.color);
  arc(radius, gauge.width, START, angle(series.data[0][1]), value.color);
  if (threshold.show) {
    let from = START;
    for (const { value: at, color } of threshold.values) {
      arc(radius + rim, threshold.width, from, angle(at), color);
      from = angle(at);
    }
  }
  context.font = `${value.font.size}px ${value.font.family}`;
  context.fillStyle = value.color;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(value.formatter(), x, y);
};
