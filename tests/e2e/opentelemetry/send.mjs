// Two services, `web` and `cart`, as OpenTelemetry's SDK sends them: node send.mjs URL http|proto|grpc
// What it sends is counted in opentelemetry_test.py.
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import * as logsGrpc from "@opentelemetry/exporter-logs-otlp-grpc";
import * as logsHttp from "@opentelemetry/exporter-logs-otlp-http";
import * as logsProto from "@opentelemetry/exporter-logs-otlp-proto";
import * as metricsGrpc from "@opentelemetry/exporter-metrics-otlp-grpc";
import * as metricsHttp from "@opentelemetry/exporter-metrics-otlp-http";
import * as metricsProto from "@opentelemetry/exporter-metrics-otlp-proto";
import * as tracesGrpc from "@opentelemetry/exporter-trace-otlp-grpc";
import * as tracesHttp from "@opentelemetry/exporter-trace-otlp-http";
import * as tracesProto from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [url, form] = process.argv.slice(2);
const { OTLPTraceExporter } = { http: tracesHttp, proto: tracesProto, grpc: tracesGrpc }[form];
const { OTLPMetricExporter } = { http: metricsHttp, proto: metricsProto, grpc: metricsGrpc }[form];
const { AggregationTemporalityPreference } = metricsHttp;
const { OTLPLogExporter } = { http: logsHttp, proto: logsProto, grpc: logsGrpc }[form];
const to = (signal) => (form === "grpc" ? url : `${url}/v1/${signal}`);
const compression = form === "http" ? "none" : "gzip";

const resource = (service) =>
  resourceFromAttributes({
    "service.name": service,
    "service.namespace": form,
    "service.instance.id": `${service}-1`,
    "service.version": "v1",
    "k8s.namespace.name": form,
    "k8s.pod.name": `${service}-1`,
  });

async function metrics(temporality) {
  const suffix = temporality === AggregationTemporalityPreference.DELTA ? "delta" : "cumulative";
  const exporter = new OTLPMetricExporter({ url: to("metrics"), temporalityPreference: temporality, compression });
  const provider = new MeterProvider({
    resource: resource("web"),
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3600000 })],
    views: [{ instrumentName: "exponential.*", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: {} } }],
  });
  const meter = provider.getMeter("test");
  const orders = meter.createCounter(`orders.${suffix}`, { description: "Orders." });
  const open = meter.createUpDownCounter(`open.${suffix}`);
  const load = meter.createObservableGauge(`load.${suffix}`, { unit: "1" });
  const explicit = meter.createHistogram(`explicit.${suffix}`, { unit: "ms" });
  const exponential = meter.createHistogram(`exponential.${suffix}`, { unit: "s" });
  load.addCallback((result) => result.observe(0.25));
  for (let round = 1; round <= 2; round++) {
    orders.add(3, { kind: "book" });
    orders.add(2, { kind: "pen" });
    open.add(2);
    open.add(-1);
    for (const v of [3, 30, 300]) explicit.record(v);
    for (const v of [0, 0.003, 0.7, 1, 3]) exponential.record(v);
    await provider.forceFlush();
  }
  await provider.shutdown();
}

function tracer(service) {
  const exporter = new OTLPTraceExporter({ url: to("traces"), compression });
  const provider = new BasicTracerProvider({ resource: resource(service), spanProcessors: [new BatchSpanProcessor(exporter)] });
  return { provider, tracer: provider.getTracer("test") };
}

/** 20 orders: web serves, calls cart, which serves and calls its database; every fifth fails in cart. */
async function traces() {
  const web = tracer("web"), cart = tracer("cart");
  for (let i = 0; i < 20; i++) {
    const outer = web.tracer.startSpan("GET /order", { kind: SpanKind.SERVER, attributes: { "http.response.status_code": 200 } }, ROOT_CONTEXT);
    const call = web.tracer.startSpan("POST", { kind: SpanKind.CLIENT, attributes: { "server.address": "cart", "server.port": 80 } },
      trace.setSpan(ROOT_CONTEXT, outer));
    const inner = cart.tracer.startSpan("POST /cart", { kind: SpanKind.SERVER }, trace.setSpan(ROOT_CONTEXT, call));
    const database = cart.tracer.startSpan("SET", { kind: SpanKind.CLIENT, attributes: { "db.system.name": "redis", "server.address": "redis.data.svc" } },
      trace.setSpan(ROOT_CONTEXT, inner));
    database.end();
    if (i % 5 === 0) inner.setStatus({ code: SpanStatusCode.ERROR, message: "full" });
    inner.addEvent("stored", { size: i });
    inner.end();
    call.end();
    outer.end();
  }
  await web.provider.shutdown(); // the caller's spans come first: so cart's know who called
  await cart.provider.shutdown();
}

async function logs() {
  const exporter = new OTLPLogExporter({ url: to("logs"), compression });
  const provider = new LoggerProvider({ resource: resource("web"), processors: [new BatchLogRecordProcessor({ exporter })] });
  const logger = provider.getLogger("test");
  for (let i = 0; i < 50; i++)
    logger.emit({ severityNumber: SeverityNumber.WARN, severityText: "WARN", body: `line ${i} ü`, attributes: { user: i % 7, tags: ["a", "b"] },
      context: context.active() });
  await provider.shutdown();
}

await metrics(AggregationTemporalityPreference.CUMULATIVE);
await metrics(AggregationTemporalityPreference.DELTA);
await traces();
await logs();
