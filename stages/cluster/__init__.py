from gristmill.stages.cluster.stage import AssignCluster, Cluster, ClusterGate, PruneRule, fine_clusters

__all__ = ["AssignCluster", "Cluster", "ClusterGate", "PruneRule", "fine_clusters"]
