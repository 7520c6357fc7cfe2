// Runs the stimulus, clears the chip before each sample, and compares counts, potentials and currents of all slots in each step.
`timescale 1ns / 1ns
module bench;
    parameter A = 5, P = 6, S = 2, X = 16, CNT = 5;
    parameter N_SAMPLES = 1, N_STEPS = 1, N_INPUTS = 1, N_SLOTS = 1;
    parameter MOST_CYCLES = 20000000;       // in which any step ends
    localparam STATE = CNT + X + S * X;
    reg clk = 0, rst = 1, clear = 0, start = 0, in_we = 0;
    reg [A-1:0] in_addr = 0, read_addr = 0;
    reg [7:0] in_count = 0;
    wire busy;
    wire [CNT-1:0] count;
    wire [X-1:0] v;
    wire [S*X-1:0] i;
    chip #(.DIR("memory")) dut (
        .clk(clk), .rst(rst), .clear(clear), .start(start), .busy(busy), .in_we(in_we), .in_addr(in_addr), .in_count(in_count),
        .read_addr(read_addr), .read_count(count), .read_v(v), .read_i(i),
        .prog_we(1'b0), .prog_block(8'd0), .prog_addr({P{1'b0}}), .prog_data(32'd0)
    );
    always #5 clk = ~clk;

    integer waited = 0;
    always @(negedge clk) begin
        waited <= busy ? waited + 1 : 0;
        if (waited == MOST_CYCLES) begin
            $display("the core is still busy after %0d cycles", waited);
            $finish;
        end
    end

    reg [7:0] stimulus [0:N_SAMPLES*N_STEPS*N_INPUTS-1];
    reg [STATE-1:0] expected [0:N_SAMPLES*N_STEPS*N_SLOTS-1];
    reg [STATE-1:0] wanted;
    integer step, k, cycles, most, differing;
    initial begin
        if ($test$plusargs("wave")) begin
            $dumpfile("bench.vcd");
            $dumpvars(0, bench);
        end
        $readmemh("stimulus.mem", stimulus);
        $readmemh("expected.mem", expected);
        differing = 0;
        most = 0;
        @(negedge clk);
        @(negedge clk) rst = 0;
        for (step = 0; step < N_SAMPLES * N_STEPS; step = step + 1) begin
            if (step % N_STEPS == 0) begin
                clear = 1;
                @(negedge clk) clear = 0;
                while (busy) @(negedge clk);
            end
            in_we = 1;
            for (k = 0; k < N_INPUTS; k = k + 1) begin
                in_addr = k;
                in_count = stimulus[step * N_INPUTS + k];
                @(negedge clk);
            end
            in_we = 0;
            start = 1;
            @(negedge clk) start = 0;
            for (cycles = 1; busy; cycles = cycles + 1) @(negedge clk);
            if (cycles > most) most = cycles;
            for (k = 0; k < N_SLOTS; k = k + 1) begin
                read_addr = k;
                @(negedge clk);
                wanted = expected[step * N_SLOTS + k];
                if ({count, v, i} !== wanted) begin
                    differing = differing + 1;
                    if (differing <= 10)
                        $display("sample %0d step %0d slot %0d: %h, must be %h (count, potential, currents)",
                                 step / N_STEPS, step % N_STEPS, k, {count, v, i}, wanted);
                end
            end
        end
        $display("%0d states of %0d slots in %0d steps compared, %0d differ; at most %0d cycles a step",
                 N_SAMPLES * N_STEPS * N_SLOTS, N_SLOTS, N_SAMPLES * N_STEPS, differing, most);
        $finish;
    end
endmodule
