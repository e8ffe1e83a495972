// Package endstate plays a migration through to its end in a simulated cluster and sets the forecast against it. It shares no code with the forecast: its scheduler scores nodes as kube-scheduler's
// default plugins do, rollouts surge, autoscalers act after each of them. What a migration is worth is the difference to the same rollouts with the sidecars kept.
package endstate
