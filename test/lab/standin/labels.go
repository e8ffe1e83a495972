package standin

import (
	"istio.io/api/annotation"
	"istio.io/api/label"
)

// All names of Istio's and the Gateway API's labels, annotations and conditions that the stand-ins read or write.
var (
	labelDataplaneMode        = label.IoIstioDataplaneMode.Name
	labelUseWaypoint          = label.IoIstioUseWaypoint.Name
	labelUseWaypointNamespace = label.IoIstioUseWaypointNamespace.Name
	labelGatewayName          = label.IoK8sNetworkingGatewayGatewayName.Name
	labelGatewayClass         = label.IoK8sNetworkingGatewayGatewayClassName.Name
	annotationRedirection     = annotation.AmbientRedirection.Name
	annotationStatus          = annotation.SidecarStatus.Name
)

const (
	conditionWaypointBound = "istio.io/WaypointBound" // pilot/pkg/model/service.go
	classWaypoint          = "istio-waypoint"

	modeAmbient = "ambient"
	modeNone    = "none"

	// What istio-cni writes into the redirection annotation.
	redirectionEnabled = "enabled"
	redirectionPending = "pending"
)
