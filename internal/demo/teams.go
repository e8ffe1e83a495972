package demo

import "strings"

// team is one namespace. Its services are written NAME, NAME:FEATURE or NAME:FEATURE*PODS; a feature
// is a key of features. The rest, up to servicesPerTeam, are plain services with names from spares.
type team struct {
	name     string
	revision string // the value of istio.io/rev; empty for istio-injection=enabled
	ambient  bool   // already moved
	services string
	// policies are keys of namespaceExtras.
	extras []string
}

const (
	servicesPerTeam = 20
	defaultPods     = 5
	oldRevision     = "stable" // a tag of the older control plane
)

var teams = []team{
	{name: "accounts", services: "api:jwt*8 profile:http-policy tokens:l4-policy sessions:stateful*3 cleanup:cronjob signup:http-route", extras: []string{"callers-only"}},
	{name: "analytics", services: "ingest:plain*24 flink:stateful*6 warehouse:tcp dashboards:http-policy rollup:cronjob backfill:job exporter:scraped"},
	{name: "billing", revision: oldRevision, services: "api:http-policy*6 invoices:l4-policy ledger:stateful*3 dunning:cronjob tax:egress mailer:http-route", extras: []string{"callers-only"}},
	{name: "cart", services: "api:canary*10 sessions:stateful*3 quotes:retries promotions:http-policy"},
	{name: "catalog", services: "api:canary*12 search:lua*16 images:plain*8 prices:http-policy export:job import:cronjob admin:ext-authz"},
	{name: "checkout", services: "api:jwt*12 orchestrator:retries*6 risk:lua*14 vouchers:fault webhooks:egress", extras: []string{"registry-only"}},
	{name: "edge", services: "bff:http-route*12 web:plain*10 node-logs:host-network*5 assets:plain*8 throttle:rate-limit*10"},
	{name: "fraud", services: "score:wasm*12 features:stateful*4 rules:l4-policy train:job labels:deny-paths", extras: []string{"callers-only"}},
	{name: "identity", services: "oidc:ext-authz*6 users:jwt*6 keys:deny-paths audit:tcp directory:vm"},
	{name: "inventory", revision: oldRevision, services: "api:http-policy*5 stock:stateful*5 sync:cronjob legacy-erp:vm reserve:canary"},
	{name: "logistics", revision: oldRevision, services: "routes:source-labels*4 carriers:egress labels:plain tracking:http-route*6"},
	{name: "media", services: "upload:excluded-ports*4 encode:job thumbs:plain*8 stream:tcp*6", extras: []string{"missing-waypoint"}},
	{name: "notifications", services: "push:plain*8 mail:egress sms:egress templates:http-policy digest:cronjob"},
	{name: "orders", services: "api:canary*14 events:stateful*3 history:http-policy*6 export:cronjob admin:audit-policy saga:retries"},
	{name: "partners", revision: oldRevision, services: "gateway:jwt*6 sandbox:fault files:excluded-ports webhooks:egress"},
	{name: "payments", services: "api:jwt*12 ledger:lua*20 settlement:l4-policy cards:ext-authz*6 refunds:deny-paths vault-proxy:tproxy*3 reconcile:cronjob acquirer:egress", extras: []string{"callers-only", "default-deny-network"}},
	{name: "recommendations", services: "api:canary*10 vectors:stateful*4 train:job embed:grpc*8"},
	{name: "reviews", ambient: true, services: "api:attached-policy*4 ratings:l4-policy moderation:attached-policy", extras: []string{"waypoint"}},
	{name: "support", revision: oldRevision, services: "desk:http-policy chat:session-affinity*6 bots:plain kb:rollout*4", extras: []string{"wants-ambient"}},
	{name: "telemetry", services: "collector:plain*10 traces:tcp*6 alerts:http-policy probe:localhost-admin", extras: []string{"namespace-tracing"}},
}

// spares name the services that need nothing but encryption and identity.
var spares = strings.Fields(`archive batcher cache codec config counter dispatch enrich events feed filter geo
	hasher history importer index jobs keeper limits lookup mapper merge notes notify outbox pages parser planner
	poller printer profile publisher query reader relay replay reports resolver scheduler search sender snapshots`)
