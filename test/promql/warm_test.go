package promql
import (
 _ "github.com/prometheus/prometheus/promql/promqltest"
 _ "github.com/prometheus/prometheus/promql"
 _ "github.com/prometheus/prometheus/tsdb"
 _ "github.com/prometheus/prometheus/web/api/v1"
)
