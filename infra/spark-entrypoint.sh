#!/bin/sh
# What Kubernetes asks of a Spark image: `driver ARGUMENTS` or `executor`; anything else is run as it stands.
set -e
CLASSPATH="$SPARK_HOME/jars/*:$SPARK_CONF_DIR"
case "$1" in
  driver)
    shift
    exec tini -s -- "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@"
    ;;
  executor)
    # options of the JVM come as SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1 ..., one each
    for i in $(env | sed -n 's/^SPARK_JAVA_OPT_\([0-9]*\)=.*/\1/p' | sort -n); do
      eval "option=\$SPARK_JAVA_OPT_$i"
      set -- "$@" "$option"
    done
    shift
    exec tini -s -- java "$@" -Xms"$SPARK_EXECUTOR_MEMORY" -Xmx"$SPARK_EXECUTOR_MEMORY" -cp "$SPARK_CLASSPATH:$CLASSPATH" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend --driver-url "$SPARK_DRIVER_URL" \
      --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \
      --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  *)
    exec "$@"
    ;;
esac
