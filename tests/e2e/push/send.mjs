// Stock senders against a server: node send.mjs URL winston-json|winston-protobuf|zipkin|opentelemetry
const [url, what] = process.argv.slice(2);

async function winston(json) {
  const { default: winston } = await import("winston");
  const { default: LokiTransport } = await import("winston-loki");
  const transport = new LokiTransport({
    host: url, json, batching: false, labels: { job: json ? "winston-json" : "winston-protobuf", namespace: "shop" },
    onConnectionError: (error) => { console.error(error); process.exit(1); },
  });
  const logger = winston.createLogger({ level: "debug", format: winston.format.simple(), transports: [transport] });
  for (let i = 0; i < 20; i++) logger.log(i % 5 ? "info" : "error", `order ${i} "ü"`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await transport.flush();
}

// A client and a server that share a span, as Zipkin's libraries do.
async function zipkin() {
  const { default: lib } = await import("zipkin");
  const { default: http } = await import("zipkin-transport-http");
  const tracer = (localServiceName) => new lib.Tracer({
    ctxImpl: new lib.ExplicitContext(), localServiceName, traceId128Bit: true, supportsJoin: true,
    recorder: new lib.BatchRecorder({
      logger: new http.HttpLogger({ endpoint: `${url}/api/v2/spans`, jsonEncoder: lib.jsonEncoder.JSON_V2, httpInterval: 50 }),
    }),
  });
  const shop = tracer("zipkin-shop"), stock = tracer("zipkin-stock"); // two processes, in earnest
  shop.scoped(() => {
    const id = shop.createRootId();
    shop.setId(id);
    shop.recordServiceName("zipkin-shop");
    shop.recordRpc("get stock");
    shop.recordBinary("http.path", "/stock");
    shop.recordAnnotation(new lib.Annotation.ClientSend());
    stock.scoped(() => {
      const joined = stock.join(id);
      stock.setId(joined);
      stock.recordServiceName("zipkin-stock");
      stock.recordRpc("get stock");
      stock.recordAnnotation(new lib.Annotation.ServerRecv());
      stock.recordMessage("looked");
      stock.recordBinary("error", "none left");
      stock.recordAnnotation(new lib.Annotation.ServerSend());
    });
    shop.setId(id);
    shop.recordAnnotation(new lib.Annotation.ClientRecv());
    console.log(id.traceId);
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
}

async function opentelemetry() {
  const { NodeTracerProvider, SimpleSpanProcessor } = await import("@opentelemetry/sdk-trace-node");
  const { ZipkinExporter } = await import("@opentelemetry/exporter-zipkin");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": "otel-shop" }),
    spanProcessors: [new SimpleSpanProcessor(new ZipkinExporter({ url: `${url}/api/v2/spans` }))],
  });
  const { context, trace, SpanKind, SpanStatusCode } = await import("@opentelemetry/api");
  provider.register();
  const tracer = provider.getTracer("test");
  const outer = tracer.startSpan("order", { kind: SpanKind.SERVER, attributes: { "http.status_code": 500, cached: false } });
  const inner = tracer.startSpan("pay", { kind: SpanKind.CLIENT }, trace.setSpan(context.active(), outer));
  inner.addEvent("asked");
  inner.end();
  outer.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
  outer.end();
  console.log(outer.spanContext().traceId);
  await provider.shutdown();
}

const senders = { "winston-json": () => winston(true), "winston-protobuf": () => winston(false), zipkin, opentelemetry };
await senders[what]();
